"""Exported networks: the same images as the network, at any size, from a file that says what it is."""

import errno
import io
import json
import re
import subprocess
import sys
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from test_readme import EXPORTS, run
from torch import Tensor, nn

import mambadfuse as mdf
from mambadfuse.cli import main
from mambadfuse.data.samples import samples
from mambadfuse.files import atomic_write
from mambadfuse.models.checkpoints import weights_digest
from mambadfuse.models.export import SIZES, TOLERANCE, Exported, ExportError, export
from mambadfuse.resources import resource_folder

MODULE = import_module("mambadfuse.models.export")
PAGE = (Path(__file__).parents[1] / "docs" / "exporting.md").read_text(encoding="utf-8")


class Untraceable(nn.Module):
    """A mixer that decides by the values it is given."""

    def __init__(self, config: mdf.MambaDFuseConfig) -> None:
        super().__init__()

    def forward(self, u: Tensor, height: int) -> Tensor:
        return u if u.sum() > 0 else -u


def columns(height: int, width: int, index: int) -> Tensor:
    return torch.arange(height * width).view(height, width).t().flatten()


def network(**changes: object) -> mdf.MambaDFuse:
    """Small, with a block of each kind; "alternating", each of them reads in a direction of its own."""
    torch.manual_seed(0)
    sizes = {"dim": 4, "extraction_depth": 1, "exchange_depth": 1, "deep_depth": 1, "reconstruction_depth": 1}
    return mdf.MambaDFuse(mdf.MambaDFuseConfig(**sizes | changes))


@pytest.fixture
def cnn() -> mdf.MambaDFuse:
    """A network without scans, which is exported within seconds."""
    return network(mixer="convolution")


def require_onnx() -> None:
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library, reason="ONNX files need the extra onnx")


def require_the_same_at_every_size(exported: Exported) -> None:
    assert [(height, width) for height, width, _, _ in exported.comparisons] == list(SIZES)
    assert all(comparison.difference <= TOLERANCE for comparison in exported.comparisons)


@pytest.mark.slow
def test_the_file_says_what_it_is_and_not_where_it_was_made(cnn, tmp_path):
    require_onnx()
    import onnx

    cnn.contrast = 1.25
    made = export(cnn, tmp_path / "cnn.onnx")
    require_the_same_at_every_size(made)
    assert made.size == made.path.stat().st_size
    model = onnx.load(made.path)
    onnx.checker.check_model(model)
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert mdf.MambaDFuseConfig(**json.loads(found.pop("config"))) == cnn.config
    assert found == {"model": "MambaDFuse", "weights": weights_digest(cnn), "contrast": "1.25"}
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", MODULE.OPSET)]
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {name: [1, 1, "height", "width"] for name in ("a", "b", "fused")}
    assert b".py" not in made.path.read_bytes()


@pytest.mark.slow
def test_scans_in_every_direction_are_exported(tmp_path):
    require_onnx()
    made = export(network(scan_order="alternating"), tmp_path / "small.onnx")
    require_the_same_at_every_size(made)


@pytest.mark.slow
def test_a_program_of_pytorch_has_the_same_metadata(cnn, tmp_path):
    made = export(cnn, tmp_path / "cnn.pt2", "torch")
    require_the_same_at_every_size(made)
    metadata = {"contrast": "", "weights": ""}
    program = torch.export.load(io.BytesIO(made.path.read_bytes()), extra_files=metadata)
    assert (metadata["contrast"], metadata["weights"]) == ("1.0", weights_digest(cnn))
    a, b = torch.rand(2, 1, 1, 9, 20)
    torch.testing.assert_close(program.module()(a, b), cnn.eval()(a, b), rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_exporting_leaves_the_network_as_it_is(cnn, tmp_path):
    before, cnn = weights_digest(cnn), cnn.train()
    export(cnn, tmp_path / "cnn.pt2", "torch")
    assert cnn.training
    assert weights_digest(cnn) == before


@pytest.mark.slow
def test_a_file_that_computes_something_else_is_not_written(cnn, tmp_path, monkeypatch):
    monkeypatch.setattr(MODULE, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match=r"differs from the original by .* nothing was written"):
        export(cnn, tmp_path / "cnn.pt2", "torch")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"scan_order": f"{__name__}:columns"},
            r":columns cannot be exported, since Python computes the order",
        ),
        ({"mixer": f"{__name__}:Untraceable"}, r":Untraceable cannot be exported: PyTorch cannot trace it"),
    ],
)
def test_a_component_that_cannot_be_exported_is_named(changes, message, tmp_path):
    with pytest.raises(ExportError, match=message):
        export(network(**changes), tmp_path / "own.pt2", "torch")
    assert not list(tmp_path.iterdir())


def test_what_is_missing_or_unknown_is_said(cnn, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="format must be one of onnx, torch, found 'coreml'"):
        export(cnn, tmp_path / "cnn", "coreml")
    monkeypatch.setattr(MODULE, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="ONNX files need onnx and onnxscript: pip install"):
        export(cnn, tmp_path / "cnn.onnx")
    monkeypatch.setattr(torch, "__version__", "2.7.1+cpu")
    with pytest.raises(ImportError, match=r"need PyTorch 2\.8 or newer, found 2\.7\.1\+cpu: pip install"):
        export(cnn, tmp_path / "cnn.onnx")


@pytest.mark.parametrize("name", [".", "missing/cnn.pt2"])
def test_a_place_for_no_file_is_refused_before_the_minutes_that_it_takes(name, cnn, tmp_path, monkeypatch):
    monkeypatch.setattr(MODULE, "_program", None)
    with pytest.raises(OSError, match="expected the name of a file, in a folder that exists"):
        export(cnn, tmp_path / name, "torch")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_file_that_is_not_finished_leaves_nothing_behind(error, cnn, tmp_path, monkeypatch):
    """An export that is interrupted, and one for which the disk has no space."""

    @contextmanager
    def half_written(path):
        with atomic_write(path) as file:
            file.write(b"the whole")
            raise error
            yield

    monkeypatch.setattr(MODULE, "atomic_write", half_written)
    monkeypatch.setattr(MODULE, "_program", lambda network: SimpleNamespace(module=lambda: network))
    monkeypatch.setattr(MODULE, "_torch", lambda program, metadata: b"the whole program")
    with pytest.raises(type(error)):
        export(cnn, tmp_path / "cnn.pt2", "torch")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command_replaces_a_file_only_on_request(cnn, tmp_path, capsys):
    weights, out = tmp_path / "cnn.safetensors", tmp_path / "new" / "cnn.pt2"
    mdf.save(cnn, weights)
    command = ["export", "--format", "torch", "--model", str(weights), "--out", str(out)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^wrote .*cnn\.pt2: 0\.\d MB, exported in \d+ s$", printed, flags=re.M)
    assert len(re.findall(r"differs from the network by at most", printed)) == len(SIZES)
    out.write_bytes(b"precious")
    assert main(command) == 1
    assert out.read_bytes() == b"precious"
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    assert out.read_bytes() != b"precious"


def test_the_weights_are_never_replaced(cnn, tmp_path):
    weights = tmp_path / "cnn.safetensors"
    mdf.save(cnn, weights)
    before = weights.read_bytes()
    with pytest.raises(ValueError, match="would replace its own source"):
        export(weights, weights, "torch")
    assert weights.read_bytes() == before


def test_neither_the_weights_in_a_folder_nor_shipped_ones_are_replaced(cnn, tmp_path):
    cnn.save_pretrained(tmp_path / "mine")
    shipped = resource_folder("weights") / "ivf-tiny.safetensors"
    for source, weights in (
        (tmp_path / "mine", tmp_path / "mine" / "model.safetensors"),
        ("ivf-tiny", shipped),
    ):
        before = weights.read_bytes()
        with pytest.raises(ValueError, match="would replace its own source"):
            export(source, weights, "torch")
        assert weights.read_bytes() == before


def test_the_command_refuses_a_folder_before_it_exports(tmp_path, capsys):
    (tmp_path / "net.pt2").mkdir()
    words = ["--format", "torch", "--overwrite", "--out", str(tmp_path / "net.pt2")]
    with pytest.raises(SystemExit):
        main(["export", *words])
    assert "is a folder, expected the name of a file" in capsys.readouterr().err


def test_the_command_expects_the_suffix_of_the_format(tmp_path, capsys):
    for words, suffix in ((["--format", "onnx"], ".onnx"), (["--format", "torch"], ".pt2")):
        with pytest.raises(SystemExit):
            main(["export", *words, "--out", str(tmp_path / "net.bin")])
        assert f"expected the name of a {suffix} file" in capsys.readouterr().err


@pytest.mark.slow
def test_command_and_script_of_the_page_fuse_a_sample_as_the_kit_does(tmp_path):
    """Within one grey level, colour and all; the grey pair is a part of the same one, without its colour."""
    require_onnx()
    script, out = tmp_path / "fuse_onnx.py", tmp_path / "fused.png"
    script.write_text(re.search(r"^```py\n(.*?)^```", PAGE, flags=re.M | re.S)[1], encoding="utf-8")
    (command,) = EXPORTS
    printed = run([sys.executable, "-m", "mambadfuse", *command[1:]], tmp_path)
    found = re.findall(r"^(\d+) x (\d+): differs from the network by at most (\S+),", printed, flags=re.M)
    assert [(int(height), int(width)) for width, height, _ in found] == list(SIZES)
    assert all(float(difference) <= TOLERANCE for _, _, difference in found)
    pair = samples("ivf")[0]
    grey = tmp_path / "grey_a.png", tmp_path / "grey_b.png"
    for side, part in zip((pair.a, pair.b), grey, strict=True):
        with Image.open(side) as picture:
            picture.convert("L").crop((160, 120, 320, 240)).save(part)
    for infrared, visible in ((pair.a, pair.b), grey):
        words = [sys.executable, script, tmp_path / "ivf.onnx", infrared, visible, out]
        subprocess.run(words, check=True, timeout=600)
        with Image.open(out) as picture:
            found = np.asarray(picture, np.int16)
        expected = mdf.fuse(infrared, visible).astype(np.int16)
        expected = expected if expected.ndim == 3 else expected[..., None]
        assert np.abs(found - expected).max() <= 1
