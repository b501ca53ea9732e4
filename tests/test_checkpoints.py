"""Weights files: round trips, the published names, and refusals that name what is wrong."""

import gzip
import json
import os
import pickle
import tracemalloc
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mambadfuse import MambaDFuse, MambaDFuseConfig, load, load_published, save
from mambadfuse.models.checkpoints import CheckpointError
from mambadfuse.models.published_names import published_name

SHAPES = json.loads((Path(__file__).parent / "golden" / "state_dict_shapes.json").read_text())
TINY = MambaDFuseConfig(
    dim=8, state=4, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
)


@pytest.fixture(scope="module")
def published_tensors():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) * 0.05 for name, shape in SHAPES.items()}


def test_names_map_one_to_one():
    model = MambaDFuse(MambaDFuseConfig.published())
    names = {published_name(name): list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert len(names) == 484
    assert names == SHAPES


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_published_file_gives_the_published_network(tmp_path, published_tensors, suffix):
    path = tmp_path / f"net{suffix}"
    (torch.save if suffix == ".pth" else save_file)(published_tensors, path)
    model = load_published(path)
    assert model.config == MambaDFuseConfig.published()
    assert not model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, published_tensors[published_name(name)]), name


def test_wrappers_of_training_scripts_are_seen_through(tmp_path, published_tensors):
    path = tmp_path / "net.pth"
    torch.save({"params": {f"module.{k}": v for k, v in published_tensors.items()}}, path)
    model = load_published(path)
    assert torch.equal(model.token_norm.weight, published_tensors["patch_embed.norm.weight"])


def test_an_incomplete_file_is_refused_with_names(tmp_path, published_tensors):
    path = tmp_path / "net.pth"
    torch.save({k: v for k, v in published_tensors.items() if "conv_last3" not in k}, path)
    with pytest.raises(CheckpointError, match=r"net\.pth: 2 tensors do not fit.*missing.*conv3"):
        load_published(path)


def test_foreign_and_misshapen_tensors_are_refused_with_names(tmp_path, published_tensors):
    path = tmp_path / "net.pth"
    torch.save({**published_tensors, "head.weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=r"unknown head\.weight"):
        load_published(path)
    torch.save({**published_tensors, "conv_last3.bias": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"shape \(2,\), expected \(1,\)"):
        load_published(path)
    torch.save({**published_tensors, "conv_last3.bias": torch.tensor([float("nan")])}, path)
    with pytest.raises(CheckpointError, match="NaN"):
        load_published(path)


class Payload:
    """Stands for code hidden in a pickle."""


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"torn", b"PK\x03\x04 truncated"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_refused_by_name(tmp_path, content, suffix):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="net"):
        load_published(path)


def test_a_truncated_real_file_is_refused(tmp_path, published_tensors):
    path = tmp_path / "net.pth"
    torch.save(published_tensors, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"net\.pth"):
        load_published(path)


def test_pickled_objects_are_not_executed(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"x": Payload()}, path)
    with pytest.raises(CheckpointError, match="plain tensors"):
        load_published(path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="dictionary of tensors"):
        load_published(path)


@pytest.mark.parametrize("config", [TINY, replace(TINY, gate="shared", norm_passes=1, deep_conv=False)])
def test_save_and_load_round_trip(tmp_path, config):
    torch.manual_seed(0)
    model = MambaDFuse(config)
    path = tmp_path / "mine.safetensors"
    save(model, path)
    again = load(path)
    assert again.config == config
    assert all(torch.equal(t, again.state_dict()[n]) for n, t in model.state_dict().items())
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_weights_make_the_same_file(tmp_path):
    files = [tmp_path / f"{number}.safetensors" for number in range(8)]
    model = MambaDFuse(TINY)
    for file in files:
        save(model, file)
    assert len({file.read_bytes() for file in files}) == 1


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "mine.safetensors"
    save(MambaDFuse(TINY), path)
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        save(MambaDFuse(TINY), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_load_names_what_is_wrong(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        load(tmp_path / "absent.safetensors")
    path = tmp_path / "mine.safetensors"
    save(MambaDFuse(TINY), path)
    tensors = load_file(path)
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match="no configuration"):
        load(path)
    save_file(tensors, path, {"config": '{"dim": 8, "colour": 3}'})
    with pytest.raises(CheckpointError, match="colour"):
        load(path)
    save_file(tensors, path, {"config": "{}"})
    with pytest.raises(CheckpointError, match="do not fit"):
        load(path)


@pytest.mark.parametrize("name", ["net.pth", "net.bin", "net.safetensors"])
def test_a_file_of_the_authors_goes_wherever_weights_go(tmp_path, published_tensors, name):
    path = tmp_path / name
    for write in (torch.save, save_file):
        write(published_tensors, path)
        model = load(path)
        assert model.config == MambaDFuseConfig.published()
        assert torch.equal(model.token_norm.weight, published_tensors["patch_embed.norm.weight"])
        assert MambaDFuse.from_pretrained(path).config == model.config


def compiled(tensors):
    return {f"_orig_mod.{name}": tensor for name, tensor in tensors.items()}


def parallel(tensors):
    return {f"module.{name}": tensor for name, tensor in tensors.items()}


WRAPPED = {
    "params_ema before params": lambda t: {"params": {k: 0 * v for k, v in t.items()}, "params_ema": t},
    "averaged before the last": lambda t: {
        "model": {k: 0 * v for k, v in t.items()},
        "model_ema": t,
        "epoch": 3,
    },
    "averages of a script, not of the network": lambda t: {"ema": {"loss": 0.1}, "model": t},
    "any name, if it is the only network": lambda t: {"net_g": t, "optimizer": {"state": {}}, "epoch": 3},
    "state_dict beside the rest": lambda t: {"epoch": 3, "optimizer": {"lr": 1e-4}, "state_dict": t},
    "model": lambda t: {"model": OrderedDict(t)},
    "model_state_dict": lambda t: {"epoch": 3, "model_state_dict": t},
    "net": lambda t: {"net": {f"net.{k}": v for k, v in t.items()}, "step": 1},
    "generator": lambda t: {"generator": t, "discriminator": {"x": torch.zeros(1)}},
    "weights": lambda t: {"weights": t},
    "one in another": lambda t: {"model": {"state_dict": t}},
    "compiled": compiled,
    "compiled and parallel": lambda t: compiled(parallel(t)),
    "parallel and compiled": lambda t: {"params": parallel(compiled(t))},
    "lightning": lambda t: {"state_dict": {f"model.{k}": v for k, v in t.items()}},
    "half precision": lambda t: {k: v.half() for k, v in t.items()},
    "doubles": lambda t: {k: v.double() for k, v in t.items()},
    "parameters": lambda t: {k: torch.nn.Parameter(v) for k, v in t.items()},
    "transposed in memory": lambda t: {k: v.t().contiguous().t() if v.ndim == 2 else v for k, v in t.items()},
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_whatever_wraps_the_tensors_is_taken_off(tmp_path, published_tensors, kind):
    path = tmp_path / "net.pth"
    torch.save(WRAPPED[kind](published_tensors), path)
    for name, tensor in load_published(path).state_dict().items():
        assert tensor.dtype == torch.float32
        assert tensor.is_contiguous()
        expected = published_tensors[published_name(name)]
        assert torch.equal(tensor, expected.half().float() if kind == "half precision" else expected), name


def test_several_networks_in_one_file_are_named(tmp_path, published_tensors):
    path = tmp_path / "net.pth"
    torch.save({"Encoder": published_tensors, "Decoder": published_tensors}, path)
    with pytest.raises(
        CheckpointError, match=r"net\.pth: expected the tensors of one network, found .*: Encoder, Decoder"
    ):
        load_published(path)


@pytest.mark.parametrize(
    "content",
    [b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00idq\x00\x85q\x01Rq\x02.", pickle.dumps({"a": 1}, 4)],
)
def test_nobody_is_advised_to_execute_what_a_file_holds(tmp_path, content):
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        load(tmp_path / "net.pth")
    assert "weights_only" not in str(error.value)


def zipped(name):
    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"1")

    return write


def compressed(path):
    torch.save({"x": torch.zeros(9)}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def picture(path):
    Image.new("L", (4, 4)).save(path, "png")


STRANGERS = {
    "an HTML page": b"\n<!DOCTYPE html><html><body>404</body></html>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
    "a gzip archive: unpack it": gzip.compress(b"weights"),
    "a text file": "weights: später\n".encode(),
    "of no known format": bytes(range(1, 200)),
    "an image": picture,
    "a zip archive, but none that torch.save writes": zipped("weights/net.pth"),
    "a TorchScript program": zipped("net/constants.pkl"),
    "compressed, as torch.save never does": compressed,
}


@pytest.mark.parametrize("what", STRANGERS)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_holds_no_weights_is_called_what_it_is(tmp_path, what, suffix):
    path, content = tmp_path / f"net{suffix}", STRANGERS[what]
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    for read in (load, load_published, MambaDFuse.from_pretrained):
        with pytest.raises(CheckpointError, match=rf"net{suffix}: is {what}"):
            read(path)


def test_a_pickled_network_is_named_by_its_class(tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "net.pth")
    with pytest.raises(
        CheckpointError, match=r"net\.pth: holds a torch\.nn\.modules\.linear\.Linear, .*state_dict"
    ):
        load(tmp_path / "net.pth")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"net\.pth: is not a file"):
        load(tmp_path / "net.pth")


@pytest.mark.parametrize("name", ["n" * 300, "a\0b", "a\0b.pth", "x" * 300 + "/" + "y" * 300])
def test_names_that_no_file_can_have_are_refused(name):
    for read in (load, load_published, MambaDFuse.from_pretrained):
        with pytest.raises(CheckpointError):
            read(name)


HUGE = 10**9
IMPOSSIBLE = [
    {"extraction_depth": HUGE},
    {"deep_depth": 10**30},
    {"dim": 4 * HUGE},
    {"dim": 4 * 10**30},
    {"state": HUGE},
    {"state": 10**400},
    {"expand": 10**12, "dim": 4 * 10**12},
    {"conv_width": HUGE},
]


@pytest.mark.parametrize("changes", IMPOSSIBLE, ids=str)
def test_a_configuration_that_the_tensors_do_not_have_costs_no_memory(tmp_path, changes):
    path = tmp_path / "mine.safetensors"
    save(MambaDFuse(TINY), path)
    save_file(load_file(path), path, {"config": json.dumps(TINY.to_dict() | changes)})
    tracemalloc.start()
    with pytest.raises(
        CheckpointError, match=r"mine\.safetensors: (\w+_depth is|no network has|\d+ tensors do)"
    ):
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


DTYPES = {"bool": torch.bool, "int8": torch.int8, "int64": torch.int64, "complex64": torch.complex64}


@pytest.mark.parametrize("kind", DTYPES)
def test_numbers_that_are_no_weights_are_refused(tmp_path, published_tensors, kind):
    path = tmp_path / "mine.safetensors"
    save(MambaDFuse(TINY), path)
    tensors = load_file(path)
    config = {"config": json.dumps(TINY.to_dict())}
    odd = {"token_norm.weight": torch.ones(8, dtype=DTYPES[kind])}
    torch.save({**published_tensors, "patch_embed.norm.weight": torch.ones(60, dtype=DTYPES[kind])}, path)
    with pytest.raises(CheckpointError, match=rf"token_norm\.weight is {kind}, expected floating-point"):
        load(path)
    if kind != "complex64":  # which not every version of safetensors writes
        save_file(tensors | odd, path, config)
        with pytest.raises(CheckpointError, match=rf"token_norm\.weight is {kind}, expected floating-point"):
            load(path)


ODD = {
    r"the key 0 of type int": lambda t: {0: t["conv_last3.bias"]},
    r"found an empty one": lambda t: {},
    r"expected a dictionary of tensors, found Tensor": lambda t: next(iter(t.values())),
    r"found int under 'epoch'": lambda t: {**t, "epoch": 3},
    r"conv3\.bias is not a plain dense tensor": lambda t: {**t, "conv_last3.bias": torch.ones(1).to_sparse()},
    r"conv3\.bias holds NaN or infinity": lambda t: {**t, "conv_last3.bias": torch.tensor([1e300]).double()},
}


@pytest.mark.parametrize("said", ODD)
def test_dictionaries_that_are_no_state_dict_are_refused(tmp_path, published_tensors, said):
    path = tmp_path / "net.pth"
    torch.save(ODD[said](published_tensors), path)
    with pytest.raises(CheckpointError, match=rf"net\.pth: .*{said}"):
        load_published(path)


def test_a_state_dict_of_another_network_is_told_from_a_damaged_file(tmp_path):
    path = tmp_path / "net.pth"
    torch.save(torch.nn.Conv2d(1, 1, 3).state_dict(), path)
    with pytest.raises(
        CheckpointError, match=r"missing low_level.*no configuration, so the authors' checkpoint was expected"
    ):
        load(path)


def test_load_published_of_a_file_of_the_kit_says_to_use_load(tmp_path):
    path = tmp_path / "mine.safetensors"
    save(MambaDFuse(TINY), path)
    with pytest.raises(CheckpointError, match=r"mine\.safetensors: is a file of this kit, .*use load$"):
        load_published(path)


def test_shipped_weights_are_verified(tmp_path, monkeypatch):
    monkeypatch.setattr("mambadfuse.models.weights_file.resource_folder", lambda name: tmp_path)
    with pytest.raises(CheckpointError, match="no weights are shipped for 'ct-mri'"):
        load("ct-mri")
    save(MambaDFuse(TINY), tmp_path / "ct-mri.safetensors")
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  ct-mri.safetensors\n")
    with pytest.raises(CheckpointError, match="sha256"):
        load("ct-mri")
