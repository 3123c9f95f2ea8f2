# SPDX-License-Identifier: Apache-2.0
import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from sphmask_core.pictures.confusion import draw_confusion


def test_rows_with_objects_and_columns_that_objects_are_taken_for(tmp_path, monkeypatch):
    """A chair of four is taken for a table, another is missed; no object is a lamp or taken for one."""
    shares, counts_written, names = [], [], []
    imshow, text, ticks = Axes.imshow, Axes.text, Axes.set_xticks
    monkeypatch.setattr(Axes, "imshow", lambda *a, **k: [shares.append(a[1]), imshow(*a, **k)][1])
    monkeypatch.setattr(Axes, "text", lambda *a, **k: [counts_written.append(a[1:4]), text(*a, **k)][1])
    monkeypatch.setattr(Axes, "set_xticks", lambda *a, **k: [names.append(list(a[2])), ticks(*a, **k)][1])
    counts = np.array([[2, 1, 0, 1], [0, 3, 0, 0], [0, 0, 0, 0]])
    draw_confusion(tmp_path / "confusion.png", ["chair", "table", "lamp"], counts)
    np.testing.assert_allclose(shares[0], [[0.5, 0.25, 0.25], [0, 1, 0]])
    assert names == [["chair", "table", "none"]]
    assert counts_written == [(0, 0, 2), (1, 0, 1), (2, 0, 1), (1, 1, 3)]
    pixels = np.asarray(Image.open(tmp_path / "confusion.png").convert("RGB"), int)
    assert pixels.shape[0] > 200 and pixels.shape[1] > 200 and pixels.min() < 50 and pixels.max() == 255
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.png"]


def test_no_objects_at_all(tmp_path):
    draw_confusion(tmp_path / "confusion.png", ["chair"], np.zeros((1, 2), int))
    assert Image.open(tmp_path / "confusion.png").width > 200
