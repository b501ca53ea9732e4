"""Text in figures: every script is drawn or escaped, never a row of boxes."""

import pytest
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

from mambadfuse.plotting import fonts
from mambadfuse.plotting.fonts import legible


@pytest.fixture(autouse=True)
def clear_cache():
    fonts._family_with.cache_clear()


def test_what_the_default_font_has_stays_as_it_is():
    for text in ("pair_01", "Zürich é", "ночь", "$x_1$", ""):
        assert legible(text) == (text, [FontProperties().get_name()])


def test_without_a_font_the_missing_characters_alone_are_escaped(monkeypatch):
    monkeypatch.setattr(fontManager, "ttflist", [])
    text, families = legible("夜景_01 é")
    assert text == "\\u591c\\u666f_01 é"
    assert len(families) == 1


def test_a_font_that_has_them_is_used():
    default = get_font(findfont(FontProperties())).get_charmap()
    other = get_font(findfont(FontProperties(family="STIXGeneral"))).get_charmap()
    character = chr(min(other.keys() - default.keys()))
    text, families = legible(f"a{character}")
    assert text == f"a{character}"
    assert families[0] == FontProperties().get_name()
    assert len(families) == 2


def test_fonts_of_boxes_and_broken_fonts_do_not_count(monkeypatch, tmp_path):
    class Font:
        def __init__(self, name, fname):
            self.name, self.fname = name, fname

    (tmp_path / "broken.ttf").write_bytes(b"no font")
    boxes = [font for font in fontManager.ttflist if font.name.startswith("Last Resort")]
    monkeypatch.setattr(fontManager, "ttflist", [Font("broken", str(tmp_path / "broken.ttf")), *boxes])
    assert legible("夜")[0] == "\\u591c"
