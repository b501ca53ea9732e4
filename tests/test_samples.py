"""The sample images: complete, registered, of the right kind, unchanged, and what they are made to show."""

import hashlib
import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mambadfuse.data.pairs import Pair
from mambadfuse.data.samples import samples
from mambadfuse.resources import resource_folder

COLOUR_TASKS = {"ivf", "pet-mri", "spect-mri"}
FOLDER = resource_folder("data_samples")
PAIRS = samples()


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image, np.float64)


def of_task(task: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    pair = next(pair for pair in samples(task) if pair.name == name)
    return pixels(pair.a), pixels(pair.b).mean(-1)


def test_every_task_has_a_pair_and_the_order_is_that_of_task_and_name():
    assert {pair.task for pair in PAIRS} == {"ivf", "ct-mri", "pet-mri", "spect-mri"}
    assert [(pair.task, pair.name) for pair in PAIRS] == sorted((pair.task, pair.name) for pair in PAIRS)


@pytest.mark.parametrize("task", ["ivf", "ct-mri", "pet-mri", "spect-mri"])
def test_one_task_is_the_part_of_all_that_has_its_name(task: str):
    assert samples(task) == [pair for pair in PAIRS if pair.task == task] != []


def test_an_unknown_task_is_refused_with_the_names_of_the_known_ones():
    with pytest.raises(ValueError, match=r"'mri'.*ct-mri, ivf, pet-mri, spect-mri"):
        samples("mri")


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.task}-{pair.name}")
def test_a_pair_has_one_name_one_size_and_the_modes_of_its_task(pair: Pair):
    assert pair.a.stem == pair.b.stem == pair.name
    assert pair.a.parent.name == ("ir" if pair.task == "ivf" else "mri")
    assert pair.b.parent.name == ("vi" if pair.task == "ivf" else pair.task.split("-")[0])
    with Image.open(pair.a) as a, Image.open(pair.b) as b:
        assert a.size == b.size
        assert a.mode == "L"
        assert b.mode == ("RGB" if pair.task in COLOUR_TASKS else "L")


@pytest.mark.parametrize("pair", [p for p in PAIRS if p.task in COLOUR_TASKS], ids=lambda pair: pair.name)
def test_colour_pictures_are_really_coloured(pair: Pair):
    assert np.ptp(pixels(pair.b), axis=-1).max() > 60


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.task}-{pair.name}")
def test_a_picture_says_that_it_is_made_up_and_an_atlas_keeps_its_notice(pair: Pair):
    for path in (pair.a, pair.b):
        with Image.open(path) as image:
            text = image.text
        assert any(word in text["Description"] for word in ("Synthetic", "Simulated"))
        if pair.task != "ivf":
            assert "Copyright (C) 1993-2004 Louis Collins" in text["Copyright"]


def test_the_checksums_name_every_picture_and_nothing_has_changed():
    listed = dict(reversed(line.split("  ")) for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    found = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*.png")}
    assert listed.keys() == found.keys()
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()} == listed


def test_the_folder_stays_small():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.png")) < 4_000_000


def test_at_night_the_infrared_shows_the_person_and_the_visible_picture_the_lettering():
    infrared, visible = of_task("ivf", "synthetic_night_street")
    coat, wall_beside = np.s_[200:212, 242:248], np.s_[200:212, 218:230]
    assert infrared[coat].mean() - infrared[wall_beside].mean() > 80
    assert abs(visible[coat].mean() - visible[wall_beside].mean()) < 20
    sign = np.s_[109:128, 20:170]
    assert visible[sign].std() > 60
    assert infrared[sign].std() < 6


def test_the_infrared_sees_the_people_whom_smoke_hides():
    infrared, visible = of_task("ivf", "synthetic_smoke_yard")
    body, smoke_beside = np.s_[184:196, 308:314], np.s_[184:196, 322:334]
    assert infrared[body].mean() - infrared[smoke_beside].mean() > 80
    assert abs(visible[body].mean() - visible[smoke_beside].mean()) < 8


@pytest.mark.slow
@pytest.mark.parametrize("pair", samples("ivf"), ids=lambda pair: pair.name)
def test_a_scene_can_be_rendered_again(pair: Pair, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    render = importlib.import_module("make_ivf").PAIRS[pair.name]
    for path, again in zip((pair.a, pair.b), render(), strict=True):
        assert np.abs(np.asarray(again, np.float64) - pixels(path)).mean() < 1


def test_a_shipped_folder_is_one_of_two():
    assert resource_folder("data_samples").is_dir()
    with pytest.raises(ValueError, match="data_samples, weights"):
        resource_folder("pictures")


def test_a_missing_folder_is_named_together_with_the_places_where_it_was_sought(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr("mambadfuse.resources._CHECKOUT", tmp_path / "checkout")
    monkeypatch.setattr("mambadfuse.resources._WHEEL", tmp_path / "wheel")
    with pytest.raises(FileNotFoundError, match=r"'weights'.*wheel.*checkout"):
        resource_folder("weights")
    (tmp_path / "wheel" / "weights").mkdir(parents=True)
    assert resource_folder("weights") == tmp_path / "wheel" / "weights"
