# SPDX-License-Identifier: Apache-2.0
import numpy as np
from PIL import Image

from sphmask_core.pictures.confusion import CELL, FULL, GAP, NAMES, draw_confusion


def test_rows_with_objects_and_columns_that_were_said(tmp_path):
    """A chair of four is taken for a table, another is missed; nobody has or says a lamp."""
    counts = np.array([[2, 1, 0, 1], [0, 3, 0, 0], [0, 0, 0, 0]])
    draw_confusion(tmp_path / "confusion.png", ["chair", "table", "lamp"], counts)
    picture = Image.open(tmp_path / "confusion.png")
    assert picture.size == (NAMES + 3 * CELL + GAP, NAMES + 2 * CELL + GAP)
    pixels = np.asarray(picture, int)
    corners = pixels[NAMES + 2 :: CELL, NAMES + 2 :: CELL][:2, :3]
    shares = np.array([[0.5, 0.25, 0.25], [0, 1, 0]])
    np.testing.assert_allclose(corners, 255 + shares[..., None] * (FULL - 255), atol=1)
    assert pixels[:NAMES, NAMES:].min() < 100 and pixels[NAMES:, :NAMES].min() < 100  # names
