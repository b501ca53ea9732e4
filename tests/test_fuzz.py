"""Damaged and odd input of every kind: documented errors only, no hang, no source changed, nothing half-written.

Each input follows from the seed, its kind and its number alone. ``FUZZ_INPUTS`` and ``FUZZ_SEED`` choose how many there
are and which.
"""

import io
import json
import os
import random
import signal
import string
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import mambadfuse as mdf
from mambadfuse.ablation import read_table
from mambadfuse.ablation.table import SHIPPED
from mambadfuse.models.checkpoints import CheckpointError
from mambadfuse.training import TrainingConfig, as_yaml, configure, read_log
from mambadfuse.training.log import RunLog

INPUTS = int(os.environ.get("FUZZ_INPUTS", "300"))
SEED = os.environ.get("FUZZ_SEED", "0")
LONGEST = 60  # seconds for one input

TINY = mdf.MambaDFuseConfig(
    dim=8, state=2, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
)
ODD_VALUES = [
    0,
    -1,
    1,
    10**9,
    10**30,
    1.5,
    float("nan"),
    float("inf"),
    True,
    None,
    "",
    "x",
    [],
    {},
    [[1]],
    "\u2028",
]


class Mean(nn.Module):
    """A network that costs nothing."""

    def forward(self, a, b):
        return (a + b) / 2


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content with a few bytes changed, inserted, repeated or missing, or cut off."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8, 40])):
        place = rng.randrange(len(data) + 1)
        if rng.random() < 0.5:
            place = min(place, rng.randrange(200))  # headers come first
        match rng.randrange(5):
            case 0:
                data[place : place + 1] = rng.randbytes(1)
            case 1:
                data[place:place] = rng.randbytes(rng.choice([1, 4, 30]))
            case 2:
                del data[place : place + rng.choice([1, 4, 30])]
            case 3:
                data[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff"])
            case 4:
                data[place:place] = data[place : place + 20]
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.2 else data)


def weights_bytes(rng: random.Random, folder: Path) -> bytes:
    """A file of the kit with an odd configuration or tensor, or a dictionary saved by PyTorch."""
    path = folder / "whole"
    tensors, settings = mdf.MambaDFuse(TINY).state_dict(), TINY.to_dict()
    name = rng.choice(list(tensors))
    match rng.randrange(5):
        case 0:
            settings[rng.choice([*settings, "colour", "contrast"])] = rng.choice(ODD_VALUES)
        case 1:
            del settings[rng.choice(list(settings))]
        case 2:
            tensors[name] = torch.ones(rng.choice([(), (0,), (3,), (2, 2)]))
        case 3:
            kind = rng.choice([torch.bool, torch.int8, torch.float16, torch.float64])
            tensors[name] = tensors[name].to(kind)
        case 4:
            tensors[name] = torch.full_like(tensors[name], rng.choice([float("nan"), float("-inf"), 1e38]))
    if rng.random() < 0.6:
        save_file(tensors, path, {"config": json.dumps(settings)})
    else:
        odd = rng.choice(
            [3, {0: tensors[name]}, [tensors], {"params": tensors, "lr": 1e-3}, {"model": 7}, {}]
        )
        torch.save(rng.choice([tensors, odd, {"state_dict": odd}]), path)
    return path.read_bytes()


def weights(rng: random.Random, folder: Path) -> None:
    content = weights_bytes(rng, folder)
    path = folder / rng.choice(["net.pth", "net.safetensors", "net"])
    path.write_bytes(content if rng.random() < 0.5 else damaged(content, rng))
    for read in (mdf.load, mdf.load_published, mdf.MambaDFuse.from_pretrained):
        with suppress(CheckpointError):
            assert all(tensor.isfinite().all() for tensor in read(path).parameters())


def picture_bytes(rng: random.Random) -> bytes:
    kind = rng.choice(["png", "jpeg", "tiff", "bmp"])
    mode = rng.choice(
        ["L", "RGB"] if kind in ("jpeg", "bmp") else ["L", "RGB", "RGBA", "I;16", "P", "1", "LA"]
    )
    file = io.BytesIO()
    Image.new(
        mode, (rng.randrange(1, 30), rng.randrange(1, 30)), rng.randrange(200) if mode != "LA" else None
    ).save(file, kind)
    return file.getvalue()


def pictures(rng: random.Random, folder: Path) -> None:
    path = folder / rng.choice(["a.png", "a.jpg", "a.tif", "a.bmp"])
    path.write_bytes(damaged(picture_bytes(rng), rng))
    with suppress(ValueError):
        pixels = mdf.read_image(path)
        with suppress(ValueError):
            assert mdf.fuse(path, pixels, Mean()).shape[:2] == pixels.shape[:2]


def arrays(rng: random.Random, folder: Path) -> None:
    shape = rng.choice([(5, 7), (5, 7, 3), (5, 7, 1), (5, 7, 4), (2, 5, 7), (0, 7), (7,), (), (1, 5, 7, 3)])
    dtype = rng.choice(["bool", "u1", "u2", ">u2", "i4", "f2", "f4", ">f8", "c8", "O", "U2", "M8[s]"])
    array = np.zeros(shape, dtype) if dtype in ("O", "U2", "M8[s]") else np.ones(shape).astype(dtype)
    if array.size and rng.random() < 0.3 and dtype in ("f2", "f4", ">f8"):
        array.flat[0] = rng.choice([float("nan"), -1, 2, float("inf")])
    other = rng.choice(
        [array, array[::-1] if array.ndim else array, np.ones((5, 7), np.uint8), None, "no such file"]
    )
    options = {
        "contrast": rng.choice([None, 1, 0, float("nan"), 1e300]),
        "bits": rng.choice([8, 16, 12]),
        "colour": rng.choice(["auto", "b", "red"]),
    }
    with suppress(ValueError, TypeError):
        fused = mdf.fuse(array, other, Mean(), **options)
        assert fused.shape[:2] == (5, 7)


def names(rng: random.Random, folder: Path) -> None:
    letters = string.ascii_letters + "0123456789 ._-éß紅外IRVISpetmri\n\t'\"\\*[]{}$\udcff"
    a, b, out = folder / "a", folder / "b", folder / "out"
    for side in (a, b):
        side.mkdir()
    for _ in range(rng.randrange(4)):
        name = "".join(rng.choices(letters, k=rng.choice([1, 3, 12, 200])))
        for side in (a, b):
            with suppress(OSError, UnicodeEncodeError):  # a name that this file system does not have
                suffix = rng.choice([".png", ".PNG", ".png", ""])
                Image.new("L", (4, 3), 9).save(side / f"{name}{suffix}", "png")
    before = {path: path.read_bytes() for side in (a, b) for path in side.iterdir()}
    with suppress(ValueError, OSError):
        report = mdf.fuse_folders(a, b, out, Mean(), progress=False)
        for path in report.written:
            assert mdf.read_image(path).shape == (3, 4)
    assert {path: path.read_bytes() for side in (a, b) for path in side.iterdir()} == before


def logs(rng: random.Random, folder: Path) -> None:
    path = folder / "steps.jsonl"
    log = RunLog(path)
    for step in range(1, 6):
        log.write(step=step, total=rng.random(), more=rng.choice(ODD_VALUES))
    path.write_bytes(damaged(path.read_bytes(), rng))
    kept = [record for record in read_log(path) if record["step"] <= 3]
    log.rewind(3)
    assert json.dumps(read_log(path)) == json.dumps(kept)


def yaml(rng: random.Random, folder: Path) -> None:
    path = folder / "mine.yaml"
    text = as_yaml(TrainingConfig()).encode() if rng.random() < 0.5 else SHIPPED.read_bytes()
    tags = [
        b"&a ",
        b"*a",
        b"!!int ",
        b"!!timestamp ",
        b"[[[[",
        b"{",
        b"? ",
        b"<<: ",
        b"\n- ",
        b": ",
        b"9" * 5000,
    ]
    for _ in range(rng.randrange(4)):
        place = rng.randrange(len(text))
        text = text[:place] + rng.choice(tags) + text[place:]
    path.write_bytes(damaged(text, rng) if rng.random() < 0.7 else text)
    for read in (lambda: configure(file=path), lambda: read_table(path)):
        with suppress(ValueError, OSError):
            read()
    setting = rng.choice(
        ["steps", "model.dim", "loss", "model", "crop_sizes", "precision", "x.y", "", "init_from"]
    )
    with suppress(ValueError, OSError):
        configure(overrides=[f"{setting}={rng.choice([*ODD_VALUES, '*a', '&a [*a]', '[', '!!int x'])}"])


KINDS = {kind.__name__: kind for kind in (weights, pictures, arrays, names, logs, yaml)}


@contextmanager
def no_longer_than(seconds: int):
    """Raises TimeoutError inside after that time, on systems with alarm clocks."""
    if not hasattr(signal, "alarm"):
        yield
        return

    def ring(*_):
        raise TimeoutError(f"not done after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
# odd files and pickles make Pillow and PyTorch warn, and the inputs are random
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_odd_input_raises_documented_errors_and_leaves_no_trace(kind, tmp_path):
    for number in range(-(-INPUTS // len(KINDS))):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            with no_longer_than(LONGEST):
                KINDS[kind](random.Random(f"{SEED} {kind} {number}"), folder)
        except Exception as error:
            raise AssertionError(f"{kind}, input {number} of seed {SEED}: {error!r}") from error
        assert not list(folder.rglob(".*.part")), f"{kind}, input {number} of seed {SEED}: half-written"
