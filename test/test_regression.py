# SPDX-License-Identifier: Apache-2.0
"""What the model says is what it said when test/regression.py last wrote it down."""

import numpy as np
import pytest

from test import regression


@pytest.fixture(scope="module")
def written():
    return dict(np.load(regression.FILE))


@pytest.fixture(scope="module")
def inputs(written):
    return {name.removeprefix("input."): array for name, array in written.items() if "input." in name}


def assert_same(computed, written):
    """Whole numbers and masks are equal, floats to 1e-4 absolute or relative, as the golden tests ask.

    Gradients to 1e-3: what lies within rounding of a ReLU's kink moves them by more than rounding.
    """
    for name, array in computed.items():
        array = np.asarray(array)
        assert array.shape == written[name].shape, name
        if array.dtype.kind == "f":
            rtol = 1e-3 if name.startswith("gradient.") else 1e-4
            np.testing.assert_allclose(array, written[name], rtol=rtol, atol=1e-4, err_msg=name)
        else:
            np.testing.assert_array_equal(array, written[name], err_msg=name)


def test_every_stage_of_inference_and_training(threads, inputs, written):
    computed = regression.outputs(inputs)
    assert {name for name in written if not name.startswith("input.")} == set(computed)
    assert_same(computed, written)


def test_the_file_says_something(written):
    """Objects are found and not, in every round; gradients are there; the file is small."""
    assert regression.FILE.stat().st_size < 300_000
    foreground, masks = written["single.foreground"], written["single.queries0.masks"]
    assert 0.2 < foreground.mean() < 1 and 0 < masks.mean() < 1
    assert len(written["single.instances.scores"]) > 2 and len(written["rounds.instances.scores"]) > 2
    assert sum(name.endswith("starts") and name.startswith("rounds") for name in written) == 3
    gradients = [float(value) for name, value in written.items() if name.startswith("gradient.")]
    assert len(gradients) > 100 and np.mean(np.array(gradients) > 0) > 0.9
    assert all(written[name] > 0 for name in written if name.startswith("loss."))
