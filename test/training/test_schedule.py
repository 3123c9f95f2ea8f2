# SPDX-License-Identifier: Apache-2.0
"""Steps of the optimizer, and the learning rate of each."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphmask_core.config import TrainConfig
from training.schedule import Steps, learning_rate


@given(st.integers(1, 40), st.integers(1, 10), st.integers(0, 200))
def test_every_batch_belongs_to_one_step(batches, accumulate, batch):
    """Steps do not reach over the end of an epoch, and hold `accumulate` batches but for the last."""
    steps = Steps(batches, accumulate)
    number = steps.number(batch)
    members = [b for b in range(batch + accumulate + 1) if steps.number(b) == number]
    members += [b for b in range(max(members) + 1, batch + 2 * accumulate) if steps.number(b) == number]
    assert len(members) == steps.size(batch) <= accumulate
    assert len({b // batches for b in members}) == 1
    assert [b for b in members if steps.ends_with(b)] == [max(members)]
    assert steps.number(batches * 3) == 3 * steps.per_epoch


def test_learning_rate_warms_up_stays_and_falls():
    config = TrainConfig(epochs=10, step_epoch=4, warmup_steps=8, lr=1.0, min_lr=0.1)
    rates = [learning_rate(step, 10, config) for step in range(101)]
    assert rates[:9] == pytest.approx([(i + 1) / 8 for i in range(8)] + [1.0])
    assert all(rate == 1 for rate in rates[8:41])
    assert all(a > b for a, b in itertools.pairwise(rates[41:]))
    assert rates[70] == pytest.approx(0.55) and rates[100] == pytest.approx(0.1)
