"""No-reference quality: answers by hand, the effect of blurring, and a clear message without scikit-image."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mambadfuse.cli import main
from mambadfuse.data.images import write_image
from mambadfuse.metrics import ALL, CONVENTIONS, LOWER_IS_BETTER, OPTIONAL, blur, evaluate

SEEDS = st.integers(0, 2**31)


def quadrants(height=60, width=80):
    """Black and white quarters: every row and every column has one sharp edge."""
    y, x = np.indices((height, width))
    return np.where((y < height // 2) ^ (x < width // 2), 255, 0).astype(np.uint8)


def noise(seed, height=40, width=50):
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def blurred(picture, radius):
    """Box-averaged along both axes; edges repeat."""
    out = np.pad(picture.astype(float), radius, mode="edge")
    for axis in (0, 1):
        out = np.lib.stride_tricks.sliding_window_view(out, 2 * radius + 1, axis=axis).mean(axis=-1)
    return np.rint(out).astype(np.uint8)


def test_a_sharp_edge_keeps_two_elevenths_of_its_strength_when_blurred():
    """Sobel takes differences over two pixels, of which the blurred edge rises by an eleventh each."""
    assert blur(quadrants()) == pytest.approx(2 / 11, rel=1e-6)


def test_a_dot_loses_everything_and_a_constant_picture_has_nothing_to_lose():
    dot = np.zeros((30, 30), np.uint8)
    dot[15, 15] = 255
    assert blur(dot) == pytest.approx(0, abs=1e-9)
    for level in (0, 77, 255):
        assert blur(np.full((30, 30), level, np.uint8)) == 1


def test_edges_along_one_axis_alone_count_as_blurred():
    assert blur(np.repeat(quadrants()[:1], 60, axis=0)) == 1


@pytest.mark.parametrize("picture", [quadrants(), noise(0)], ids=["quadrants", "noise"])
def test_the_more_blurred_the_higher(picture):
    scores = [blur(picture), *(blur(blurred(picture, radius)) for radius in (1, 2, 4, 7))]
    assert scores == sorted(scores)
    assert np.diff(scores).min() > 0.01


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.integers(0, 55))
def test_brightness_contrast_and_transposition_do_not_matter(seed, offset):
    picture = noise(seed) // 4
    score = blur(picture)
    assert 0 <= score <= 1
    for same in (picture + offset, 3 * picture, 255 - picture, picture.T):
        assert blur(same) == pytest.approx(score, rel=1e-9)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_it_is_computed_only_if_named_and_judges_the_fused_picture_alone(convention):
    f, a, b = noise(1), noise(2), noise(3)
    assert "BLUR" not in evaluate(f, np.full_like(f, 9), f, convention=convention, metrics=["EN", "SD"])
    scores = evaluate(f, a, b, convention=convention, metrics=["BLUR", "EN"])
    assert tuple(scores) == ("EN", "BLUR")
    assert scores["BLUR"] == blur(f) == evaluate(f, b, f, metrics=OPTIONAL)["BLUR"]
    assert "BLUR" in LOWER_IS_BETTER
    assert "BLUR" not in ALL


def test_pictures_too_small_are_refused():
    assert 0 <= blur(noise(4, 11, 11)) <= 1
    with pytest.raises(ValueError, match=r"BLUR needs images of at least 11 x 11 pixels, found \(10, 50\)"):
        blur(noise(4, 10, 50))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture = noise(5, 48, 48)
    for folder, content in {
        "a": picture,
        "b": 255 - picture,
        "sharp": picture,
        "soft": blurred(picture, 3),
    }.items():
        Path(folder).mkdir()
        write_image(f"{folder}/1.png", content)


def command(words):
    return main(["evaluate", *words.split()])


def test_the_command_ranks_the_sharp_results_before_the_blurred(folders, capsys):
    assert command("--fused soft sharp --a a --b b --metrics BLUR --no-baselines") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("sharp", "soft"))][:2] == ["sharp", "soft"]


def test_without_the_library_the_command_says_how_to_get_it_and_all_else_works(folders, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(ImportError, match=r'BLUR needs scikit-image: .*pip install -e "\.\[metrics\]"'):
        blur(noise(0))
    assert command("--fused sharp --a a --b b --metrics EN BLUR") == 1
    error = capsys.readouterr().err
    assert error.startswith("mambadfuse: BLUR needs scikit-image")
    assert len(error.splitlines()) == 1
    assert command("--fused sharp --a a --b b") == 0
