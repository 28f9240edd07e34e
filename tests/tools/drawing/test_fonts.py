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
