"""Weights files: round trips, the published names, and refusals that name what is wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
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
def test_load_of_a_file_of_the_authors_says_how_it_is_read(tmp_path, published_tensors, name):
    path = tmp_path / name
    torch.save(published_tensors, path)
    with pytest.raises(CheckpointError, match=r"net\..*is a PyTorch file.*load_published\(path\) reads it"):
        load(path)
    save_file(published_tensors, path)
    with pytest.raises(CheckpointError, match=r"load_published\(path\) reads it.*save\(load_published"):
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
