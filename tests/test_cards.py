"""The cards of the weights: what their commands ask for exists, and those that make the tables run."""

import re
import shlex
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mambadfuse import cli
from mambadfuse.data import catalogue
from mambadfuse.data.download import FOLDERS
from mambadfuse.data.toys import toy_pair
from mambadfuse.training import configure

CARDS = sorted(
    path
    for path in (Path(__file__).parents[1] / "weights").glob("*.md")
    if path.with_suffix(".safetensors").exists()
)
LINES = [
    line
    for card in CARDS
    for block in re.findall(r"```bash\n(.*?)```", card.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
]
TRAINING = [line for line in LINES if line.startswith("mambadfuse train ")]
DOWNLOAD = re.compile(r"([A-Z])=\$\(mambadfuse data get (\S+) --split (\w+)\)/(\w+)")


def test_every_shipped_file_has_a_card_with_the_commands_of_its_tables():
    assert [card.stem for card in CARDS] == ["ct-mri", "ivf", "pet-mri", "spect-mri"]
    for card in CARDS:
        text = card.read_text(encoding="utf-8")
        assert DOWNLOAD.search(text), card.name
        assert f"{card.stem}.safetensors" in text


@pytest.mark.parametrize("line", TRAINING)
def test_commands_of_training_name_settings_that_exist(line):
    parser = ArgumentParser()
    cli.COMMANDS["train"].add_options(parser)
    options = parser.parse_args(shlex.split(line)[2:])
    words = [word for word in options.settings if not word.startswith("start=")]
    config = configure(options.task, options.budget, options.config, words)
    assert config.model.to_dict() == configure(words=["model=lite"]).model.to_dict() | {
        "contrast": config.model.contrast
    }


def toy_folders(root, sides, count):
    """Where a download would be: one toy pair, as often as it has pairs."""
    toy = toy_pair(0, (48, 48))
    for side, picture in zip(sides, (toy.a, toy.b), strict=True):
        (root / side).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.uint8(255 * picture)).save(root / side / f"{number}.png")
    return root


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_commands_of_the_tables_run(card, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folders: dict[str, str] = {}
    for line in re.findall(
        r"^(?:[A-Z]=|mambadfuse (?:fuse|evaluate)).*$", card.read_text("utf-8"), re.MULTILINE
    ):
        if found := DOWNLOAD.fullmatch(line):
            letter, name, split, last = found.groups()
            dataset = catalogue.load(name)
            assert split == last
            root = toy_folders(tmp_path / letter, FOLDERS[dataset.task], len(dataset.split(split)))
            folders[letter] = str(root)
        else:
            words = [
                re.sub(r"\$([A-Z])", lambda m: folders[m[1]], word)
                for word in shlex.split(line, comments=True)
            ]
            done, said = cli.main(words[1:]), capsys.readouterr().err
            assert done == 0 or "does not hold the pictures of TNO-25" in said, said  # toys are none of them
    assert folders
