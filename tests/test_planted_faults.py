"""``mambadfuse data check``: every fault planted in a folder is found, and nothing else."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from benchmarks.alignment import two_views
from benchmarks.registration import shifted
from mambadfuse.cli import main

A, B = (np.rint(255 * view).astype(np.uint8) for view in two_views(1, (96, 128)))
COLOUR = np.stack([B, B // 2, 255 - B], -1)
SOUND = range(100, 103)


def save(folder, name, a, b=COLOUR, suffix="png", **options):
    for side, pixels in (("ir", a), ("vi", b)):
        path = folder / side / f"{name}.{suffix if side == 'ir' else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **(options if side == "ir" else {}))
    return folder / "ir" / f"{name}.{suffix}"


def pair_without(folder, name, side):
    save(folder, name, A)
    (folder / side / f"{name}.png").unlink()


def damaged(folder, name, keep):
    path = save(folder, name, A)
    path.write_bytes(path.read_bytes()[:keep])


def unregistered(folder, name):
    save(folder, name, *shifted(A, COLOUR, 9, 5))


def replaced(folder, name, make):
    path = save(folder, name, A)
    path.unlink()
    make(path)


FAULTS = {
    "has no partner in": lambda f, n: pair_without(f, n, "ir"),
    "has no partner that can be used": lambda f, n: (
        pair_without(f, n, "ir"),
        (f / "ir" / f"{n}.heic").write_bytes(b"x"),
    ),
    "shares its name": lambda f, n: (save(f, n, A), save(f, n, A, suffix="bmp")),
    "is empty": lambda f, n: damaged(f, n, 0),
    "truncated or damaged": lambda f, n: damaged(f, n, 3000),
    "or its header is damaged": lambda f, n: replaced(f, n, lambda path: path.write_text("<html>")),
    "but its partner": lambda f, n: save(f, n, A[:80]),
    "is black": lambda f, n: save(f, n, 0 * A),
    "is constant": lambda f, n: save(f, n, 0 * A + 7),
    "of their range": lambda f, n: save(f, n, 29115 + 5 * A.astype(np.uint16), suffix="tiff"),
    "NaN or infinite": lambda f, n: save(
        f, n, np.where(A > 250, np.nan, A / 255).astype(np.float32), suffix="tiff"
    ),
    "values from": lambda f, n: save(f, n, A.astype(np.float32) / 4, suffix="tiff"),
    "pages or frames": lambda f, n: save(
        f, n, A, suffix="tiff", save_all=True, append_images=[Image.fromarray(A)]
    ),
    "alpha channel looks like an image": lambda f, n: save(f, n, np.dstack([COLOUR, np.clip(A, 1, 254)])),
    "is a broken link": lambda f, n: replaced(f, n, lambda path: path.symlink_to("nowhere.png")),
    "is the same file as its partner": lambda f, n: replaced(
        f, n, lambda path: path.symlink_to(f / "vi" / f"{n}.png")
    ),
    "do not look registered": unregistered,
}
if sys.platform != "win32":
    FAULTS["is a pipe, socket or device"] = lambda f, n: replaced(f, n, os.mkfifo)


def problems(folder, capsys):
    code = main(["data", "check", str(folder), "--decode"])
    return code, [line for line in capsys.readouterr().out.splitlines() if "problem: " in line]


def test_a_clean_folder_has_no_problem(tmp_path, capsys):
    for name in SOUND:
        save(tmp_path, name, A)
    assert problems(tmp_path, capsys) == (0, [])


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_every_planted_fault_is_found_and_no_sound_pair_is_named(tmp_path, capsys):
    for name in SOUND:
        save(tmp_path, name, A)
    for name, plant in enumerate(FAULTS.values(), 200):
        plant(tmp_path, name)
    code, found = problems(tmp_path, capsys)
    assert code == 1
    for name, said in enumerate(FAULTS, 200):
        assert any(said in line and f"{name}." in line for line in found), (said, name, found)
    assert not any(f"{name}." in line for name in SOUND for line in found)
