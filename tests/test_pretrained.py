"""Networks by name, file, folder or repository, and back into a folder."""

import json

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

import mambadfuse as mdf
from mambadfuse.data.tasks import TASKS
from mambadfuse.models import pretrained
from mambadfuse.models.weights_file import CheckpointError

TINY = mdf.MambaDFuseConfig(
    dim=8, state=4, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1, gate="shared"
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = mdf.MambaDFuse(TINY).eval()
    network.contrast = 1.3
    return network


def assert_same(found, expected):
    assert (found.config, found.contrast) == (expected.config, expected.contrast)
    assert not found.training
    state = expected.state_dict()
    assert {name: torch.equal(t, state[name]) for name, t in found.state_dict().items()} == dict.fromkeys(
        state, True
    )


@pytest.mark.parametrize("task", TASKS)
def test_shipped_weights_go_by_the_name_of_their_task(task):
    assert_same(mdf.MambaDFuse.from_pretrained(task), mdf.load(task))


def test_a_folder_is_written_and_read_back(network, tmp_path):
    network.save_pretrained(tmp_path / "mine")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert_same(mdf.MambaDFuse.from_pretrained(tmp_path / "mine"), network)
    assert_same(mdf.MambaDFuse.from_pretrained(str(tmp_path / "mine" / "model.safetensors")), network)
    assert_same(mdf.load(tmp_path / "mine" / "model.safetensors"), network)
    settings = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert settings == TINY.to_dict() | {"contrast": 1.3}


def test_the_card_begins_with_metadata_of_the_hub(network, tmp_path):
    network.save_pretrained(tmp_path)
    head, _, text = (tmp_path / "README.md").read_text().removeprefix("---\n").partition("\n---\n")
    assert "library_name: mambadfuse" in head
    assert "license: mit" in head
    assert "from_pretrained" in text


def test_a_card_that_is_there_is_left_alone(network, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    network.save_pretrained(tmp_path)
    network.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_repository_of_the_hub_is_downloaded(network, tmp_path, monkeypatch):
    mdf.save(network, tmp_path / "model.safetensors")
    asked = []

    def download(repository, name, **options):
        asked.append((repository, name, options))
        return str(tmp_path / name)

    monkeypatch.setattr(pretrained, "hf_hub_download", download)
    assert_same(mdf.MambaDFuse.from_pretrained("someone/fusion", revision="v1"), network)
    assert asked == [("someone/fusion", "model.safetensors", {"revision": "v1"})]


def test_a_hub_that_cannot_be_reached_is_named(monkeypatch):
    def offline(*_, **__):
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(pretrained, "hf_hub_download", offline)
    with pytest.raises(CheckpointError, match=r"someone/fusion: no such file, and .* Hub .*: no connection"):
        mdf.MambaDFuse.from_pretrained("someone/fusion")


@pytest.mark.parametrize(
    "name", ["nothing", "no/such/file", "my/mine.safetensors", "my/mine.pth", "./mine", "mine/"]
)
def test_what_is_no_repository_is_a_missing_file(name, monkeypatch):
    monkeypatch.setattr(pretrained, "hf_hub_download", lambda *_: pytest.fail("the Hub was asked"))
    with pytest.raises(CheckpointError, match="no such file"):
        mdf.MambaDFuse.from_pretrained(name)


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"model\.safetensors: no such file"):
        mdf.MambaDFuse.from_pretrained(tmp_path)


def test_the_name_of_shipped_weights_comes_before_a_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "ivf").mkdir()
    monkeypatch.chdir(tmp_path)
    assert mdf.MambaDFuse.from_pretrained("ivf").config == mdf.load("ivf").config


def test_a_network_that_cannot_be_saved_leaves_the_folder_as_it_was(network, tmp_path):
    network.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    network.contrast = float("nan")
    with pytest.raises(ValueError, match="contrast must be a positive number"):
        network.save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_goes_wherever_weights_go(network, tmp_path):
    network.save_pretrained(tmp_path / "mine")
    assert_same(mdf.load(tmp_path / "mine"), network)
