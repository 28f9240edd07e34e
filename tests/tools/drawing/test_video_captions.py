"""Classes drawn into frames: legible in any size, as many as fit, those of the time."""

from math import inf

import numpy as np
import pytest
from PIL import features

from tools.drawing.fonts import find_undrawable, load_font, make_drawable
from tools.drawing.video_captions import Captions, Planes, Span, draw_box

CLASSES = [("playing guitar", 0.9), ("air drumming", 0.05), ("busking", 0.01), ("singing", 0.003), ("zumba", 0.0001)]
SIZES = [(2, 2), (16, 12), (120, 90), (90, 160), (1000, 60), (640, 480), (1080, 1920), (3840, 2160)]


def grey(width, height, white=235):
    return Planes(
        np.full((height, width), 90, np.uint8),
        np.full((height // 2, width // 2), 200, np.uint8),
        np.full((height // 2, width // 2), 60, np.uint8),
        white,
    )


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", ["zumba", "a name of many words " * 20, "x" * 300, ""])
def test_a_box_lies_in_the_picture_whatever_their_sizes(size, name):
    width, height = size
    box = draw_box([(name, 1.0), *CLASSES], width, height)
    assert box.left + box.cover.shape[1] <= width
    assert box.top + box.cover.shape[0] <= height
    assert not any(value % 2 for value in (box.left, box.top, *box.cover.shape))
    planes = grey(width, height)
    box.blend_into(planes)
    assert box.letters.max() > 0.9 or width < 100


@pytest.mark.parametrize(("size", "least", "most"), [((120, 90), 2, 3), ((320, 240), 5, 9), ((1920, 1080), 9, 12)])
def test_as_many_classes_are_drawn_as_fit_half_of_the_height(size, least, most):
    boxes = [draw_box([("zumba", 0.5)] * count, *size).cover.shape[0] for count in range(1, 20)]
    fitting = len(set(boxes))
    assert least <= fitting <= most
    assert max(boxes) <= size[1] / 2


def test_letters_grow_with_the_picture():
    heights = [draw_box([("zumba", 0.5)], *size).cover.shape[0] for size in ((160, 120), (640, 480), (1920, 1080))]
    assert heights[0] >= 12  # and can be read in the smallest
    assert heights[2] / heights[1] == pytest.approx(1080 / 480, rel=0.2)


def test_long_names_are_broken_into_two_lines():
    one, two = (draw_box([(name, 0.5)], 640, 480).cover.shape[0] for name in ("busking", "many words " * 7))
    assert two > one
    assert draw_box([("many words " * 70, 0.5)], 640, 480).cover.shape[0] == two


def test_light_letters_stand_on_a_darkened_picture_without_a_colour_of_their_own():
    planes = grey(640, 480, white=180)
    Captions([Span(0, inf, CLASSES)], 5).draw(planes, 3.0)
    box = draw_box(CLASSES, 640, 480)
    inside = planes.luma[box.top : box.top + box.cover.shape[0], box.left : box.left + box.cover.shape[1]]
    assert inside.max() == 180  # as white as the film's colours allow
    assert np.median(inside) == np.rint(90 * 0.4 + 16 * 0.6)
    assert (planes.luma == 90).sum() >= 640 * 480 - inside.size
    assert np.isin(planes.blue, [200, np.rint(200 * 0.4 + 128 * 0.6)]).mean() > 0.95
    letters = box.letters.reshape(box.letters.shape[0] // 2, 2, -1, 2).min(axis=(1, 3)) == 1
    place = planes.red[box.top // 2 :, box.left // 2 :][: letters.shape[0], : letters.shape[1]]
    assert (place[letters] == 128).all()


def shown(captions, time_sec):
    planes = grey(640, 480)
    captions.draw(planes, time_sec)
    return planes.luma.tobytes()


def test_classes_change_with_the_spans_of_a_timeline():
    spans = [Span(10, 20, [("c", 1.0)]), Span(0, 10, [("a", 1.0)]), Span(5, 15, [("b", 1.0)])]
    captions = Captions(spans, 5)
    alone = {name: shown(Captions([Span(0, inf, [(name, 1.0)])], 5), 0) for name in "abc"}
    assert [shown(captions, time) == alone["a"] for time in (0, 4.9, 7.4)] == [True] * 3
    assert [shown(captions, time) == alone["b"] for time in (7.6, 12.4)] == [True] * 2
    assert [shown(captions, time) == alone["c"] for time in (12.6, 19.9)] == [True] * 2
    assert shown(captions, 20) == grey(640, 480).luma.tobytes()


def test_only_so_many_classes_are_drawn_as_are_asked_for():
    one = shown(Captions([Span(0, inf, CLASSES)], 1), 0)
    assert one == shown(Captions([Span(0, inf, CLASSES[:1])], 5), 0)
    assert [*Captions([Span(0, inf, CLASSES)], 2).names()] == ["playing guitar", "air drumming"]


def test_a_font_is_chosen_for_most_of_a_name_and_what_no_font_has_is_named():
    assert find_undrawable(["dancing", "\u200dzwj\ufe0f", "a\nb"]) == ""
    assert find_undrawable(["x\U0010fffd", "\U0010fffd"]) == ""  # a private character has no picture anywhere
    assert find_undrawable(["dancing \U0001fae8", "\U0001fae8"]) in ("\U0001fae8", "")
    assert make_drawable("dancing \U0001fae8", load_font(20, "dancing \U0001fae8")).startswith("dancing ")


@pytest.mark.skipif(not features.check("raqm"), reason="Pillow has no Raqm here")
def test_words_from_right_to_left_are_drawn_so_and_marks_between_letters_are_not_drawn():
    hebrew = "\u05d4\u05dc\u05d9\u05db\u05d4 a"
    font = load_font(40, hebrew)
    if "?" in make_drawable(hebrew, font):
        pytest.skip("no font here has Hebrew")
    assert make_drawable("a\u200db\u200c", font) == "a\u200db\u200c"
    ink = np.array(font.getmask(hebrew)).reshape(font.getmask(hebrew).size[::-1])
    latin = np.array(font.getmask("a")).reshape(font.getmask("a").size[::-1])
    found = ink[-latin.shape[0] :, : latin.shape[1]] if ink.shape[0] >= latin.shape[0] else ink[:, : latin.shape[1]]
    assert np.corrcoef(found.ravel(), latin[-found.shape[0] :].ravel())[0, 1] > 0.3  # the Latin letter stands left
