"""Contact sheets: pictures beside and below one another, at a scale that fits."""

import numpy as np
import pytest

from tests.datareader.clips.synthetic import make_frames
from tools.drawing import contact_sheet
from tools.drawing.fonts import load_font


def test_a_sheet_that_would_be_too_large_shrinks_its_pictures_and_says_so(monkeypatch):
    monkeypatch.setattr(contact_sheet, "LARGEST_SHEET", 128 * 128 * 2)
    pixels = make_frames(4, 128, 128)
    sheet = contact_sheet.draw_sheet(
        "x", [], [contact_sheet.Block("", [contact_sheet.Tile(p, ("a",)) for p in pixels])]
    )
    assert sheet.scale == 1 / 2
    for (left, top), tile in zip(sheet.places, pixels, strict=True):
        found = np.asarray(sheet.image)[top : top + 64, left : left + 64]
        assert np.abs(found - tile.reshape(64, 2, 64, 2, 3).mean((1, 3))).max() <= 1
    assert contact_sheet.describe_scale(sheet.scale) == ["at 1/2 of its size"]


@pytest.mark.parametrize("count", [1, 2, 7, 25])
def test_pictures_and_captions_do_not_overlap_and_lie_on_the_sheet(count):
    tile = contact_sheet.Tile(np.zeros((16, 16, 3), np.uint8), ("a caption that is wider than its picture", "b"))
    blocks = [contact_sheet.Block("heading", [tile] * count)] * 3
    sheet = contact_sheet.draw_sheet("a title " * 40, ["facts " * 60], blocks)
    side = round(16 * sheet.scale)
    width = load_font(contact_sheet.CAPTION_PX, tile.caption[0]).getlength(tile.caption[0])
    used = np.zeros((sheet.image.height, sheet.image.width), int)
    for left, top in sheet.places:
        assert left + width <= sheet.image.width
        assert top + side + 2 * contact_sheet.CAPTION_PX <= sheet.image.height
        used[top : top + side + 2 * contact_sheet.CAPTION_PX, left : left + int(width)] += 1
    assert len(sheet.places) == 3 * count
    assert used.max() == 1
