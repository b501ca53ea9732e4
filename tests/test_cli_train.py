"""``mambadfuse train`` from folders to a file of weights that fuses."""

import numpy as np
import pytest
from PIL import Image

from mambadfuse import cli


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("ir", "vi"):
        (tmp_path / folder).mkdir()
        for name in "xy":
            Image.fromarray(rng.integers(0, 255, (64, 128), dtype=np.uint8)).save(
                tmp_path / folder / f"{name}.png"
            )
    return [str(tmp_path / "ir"), str(tmp_path / "vi")]


def test_folders_become_weights_that_fuse(tmp_path, folders, capsys):
    out = tmp_path / "mine.safetensors"
    words = ["train", "--pairs", *folders, "--out", str(out), "--steps", "1", "--batch", "1"]
    assert cli.main(words) == 0
    assert "2 pairs, 1 steps of 1 crops" in capsys.readouterr().out
    assert cli.main(["fuse", "--a", f"{folders[0]}/x.png", "--b", f"{folders[1]}/x.png", "--model", str(out),
                     "--out", str(tmp_path / "fused.png")]) == 0  # fmt: skip
    assert Image.open(tmp_path / "fused.png").size == (128, 64)


def test_a_damaged_kept_run_is_named_and_left_alone(tmp_path, folders, capsys):
    kept = tmp_path / "mine.run"
    kept.write_bytes(b"torn")
    assert cli.main(["train", "--pairs", *folders, "--out", str(tmp_path / "mine.safetensors")]) == 1
    assert "mine.run: the kept run is damaged" in capsys.readouterr().err
    assert kept.read_bytes() == b"torn"


@pytest.mark.parametrize("extra", [["--shares", "1", "2"], ["--out", "weights.pth"]])
def test_wrong_words_are_usage_errors(tmp_path, folders, extra):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--pairs", *folders, "--out", str(tmp_path / "w.safetensors"), *extra])
    assert stop.value.code == 2
