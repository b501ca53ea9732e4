"""The set-up cell of every notebook: the same draws, a budget that follows the profile, images with captions."""

import random

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from mambadfuse import notebook


@pytest.fixture
def shown(monkeypatch) -> list:
    """What a notebook would display."""
    objects: list = []
    monkeypatch.setattr(notebook, "display", lambda *things: objects.extend(things))
    return objects


def draws() -> tuple[float, float, float]:
    return random.random(), np.random.random(), torch.rand(()).item()  # noqa: NPY002 - the global generator is what is tested


def test_the_same_seed_gives_the_same_draws():
    notebook.setup(seed=3)
    first = draws()
    notebook.setup(seed=3)
    assert draws() == first
    notebook.setup(seed=4)
    assert draws() != first


def test_setup_prints_what_it_returns(capsys, monkeypatch):
    monkeypatch.setenv("MAMBADFUSE_PROFILE", "ci")
    here = notebook.setup(seed=7)
    versions, facts = capsys.readouterr().out.splitlines()
    assert versions.startswith("versions: ")
    assert facts == f"device: {here.device}, scan backend: {here.backend}, budget: fast, seed: 7"


@pytest.mark.parametrize(("name", "expected"), [("ci", 1), ("fast", 1), ("full", 2)])
def test_the_environment_chooses_the_budget(name, expected, monkeypatch):
    monkeypatch.setenv("MAMBADFUSE_PROFILE", name)
    assert notebook.budget(full=2, fast=1) == expected


@pytest.mark.parametrize("gpu", [False, True])
def test_without_a_profile_the_device_chooses(gpu, monkeypatch):
    monkeypatch.delenv("MAMBADFUSE_PROFILE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert notebook.profile() == ("full" if gpu else "fast")


def test_an_unknown_profile_is_named(monkeypatch):
    monkeypatch.setenv("MAMBADFUSE_PROFILE", "huge")
    with pytest.raises(ValueError, match="MAMBADFUSE_PROFILE must be one of ci, fast, full, found 'huge'"):
        notebook.budget(full=2, fast=1)


def test_the_caption_is_also_the_alternative_text(shown):
    pictures = {"grey": np.zeros((4, 6), np.uint8), "colour": np.ones((8, 6, 3))}
    notebook.show(pictures, "Black beside white.")
    picture, caption = shown
    assert picture.data.startswith(b"\x89PNG")
    assert picture.alt == "Black beside white."
    assert caption.data == "*Black beside white.*"


def test_a_figure_is_shown_as_it_is(shown):
    notebook.show(Figure(figsize=(2, 1), dpi=50), "Nothing.")
    assert shown[0].data[16:24] == (100).to_bytes(4, "big") + (50).to_bytes(4, "big")


def test_no_pictures_are_an_error():
    with pytest.raises(ValueError, match="at least one image"):
        notebook.show({}, "Nothing.")
