"""Words in pictures: with the fonts there are, and in lines that fit."""

import pytest

from tools.drawing.fonts import load_font, make_drawable, wrap_text


def test_without_matplotlibs_font_pillows_own_serves(monkeypatch):
    monkeypatch.setattr("tools.drawing.fonts._bundled_font", lambda: "none.ttf")
    monkeypatch.setattr("tools.drawing.fonts.SYSTEM_FONTS", ())
    font = load_font(12, "abc")
    assert make_drawable("abc é", font) == "abc ?"


@pytest.mark.parametrize("text", ["one two three four five six seven", "x" * 300, "a", "a b " * 100])
def test_wrapped_lines_fit_and_what_is_left_out_is_marked(text):
    font = load_font(14, text)
    lines = wrap_text(text, font, 120, 3)
    assert len(lines) <= 3
    assert all(font.getlength(line) <= 120 for line in lines)
    whole = "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert whole != lines[-1].endswith("…")


def test_a_mark_that_a_font_lacks_is_a_question_mark_as_letters_are(monkeypatch):
    monkeypatch.setattr("tools.drawing.fonts.SYSTEM_FONTS", ())  # DejaVu Sans alone, which has no Devanagari
    font = load_font(20, "\u0928\u0943\u0924\u094d\u092f")
    assert make_drawable("a \u0928\u0943\u0924\u094d\u092f", font) == "a ?????"


def test_the_font_with_most_of_a_text_is_taken(monkeypatch):
    monkeypatch.setattr("tools.drawing.fonts._bundled_font", lambda: "none.ttf")
    monkeypatch.setattr("tools.drawing.fonts.SYSTEM_FONTS", ("few", "most", "more"))
    drawn = {"few": "ab", "most": "abcd", "more": "abc"}
    monkeypatch.setattr("tools.drawing.fonts._load", lambda name, size_px: name if name in drawn else None)
    monkeypatch.setattr("tools.drawing.fonts._can_draw", lambda character, font: character in drawn[font])
    assert [load_font(20, text) for text in ("ab", "abc", "abcde", "xyz")] == ["few", "most", "most", "few"]
