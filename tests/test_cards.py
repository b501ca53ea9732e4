"""The cards of the weights: what their commands ask for exists, and those that make the tables run."""

import csv
import re
import shlex
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import mambadfuse as mdf
from mambadfuse import cli
from mambadfuse.data import catalogue
from mambadfuse.data.images import read_image
from mambadfuse.data.synthetic import synthetic_pair
from mambadfuse.data.tasks import folders_of
from mambadfuse.metrics import EIGHT
from mambadfuse.models.config import FastFusionConfig, MambaDFuseConfig
from mambadfuse.training import configure

PAIRS = Path(__file__).parents[2] / "shared" / "data"
WEIGHTS = Path(__file__).parents[1] / "weights"
CARDS = sorted(path for path in WEIGHTS.glob("*.md") if path.with_suffix(".safetensors").exists())
LINES = [
    line
    for card in CARDS
    for block in re.findall(r"```bash\n(.*?)```", card.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
]
SCORES = {
    "ivf": ["roadscene", "tno"],
    "ivf-fast": ["roadscene-fast", "tno-fast"],
    "ivf-tiny": ["roadscene-tiny", "tno-tiny"],
}
"""The files of scores of a card; those of other cards have its name."""
TRAINING = [line for line in LINES if line.startswith("mambadfuse train ")]
DOWNLOAD = re.compile(r"([A-Z])=\$\(mambadfuse data get (\S+) --split (\w+)\)/(\w+)")


def test_every_shipped_file_has_a_card_with_the_commands_of_its_tables():
    assert [card.stem for card in CARDS] == ["ct-mri", "ivf-fast", "ivf-tiny", "ivf", "pet-mri", "spect-mri"]
    for card in CARDS:
        text = card.read_text(encoding="utf-8")
        assert DOWNLOAD.search(text), card.name
        assert f"{card.stem}.safetensors" in text


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_a_card_begins_with_what_the_hub_reads(card):
    _, front, body = card.read_text(encoding="utf-8").split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["license"] == "mit"
    assert (WEIGHTS.parent / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    assert (facts["library_name"], facts["pipeline_tag"]) == ("mambadfuse", "image-to-image")
    assert "image-fusion" in facts["tags"]
    assert facts["datasets"]
    assert body.lstrip().startswith(f"# `{card.stem}.safetensors`")


def made_by(text):
    """The weights that commands and code write."""
    return set(re.findall(r"--out (\S+\.safetensors)", text) + re.findall(r'"([\w-]+\.safetensors)"\)', text))


def test_what_a_training_starts_from_is_made_before_or_by_the_card_that_is_named():
    for card in CARDS:
        text = card.read_text(encoding="utf-8")
        named = re.findall(r"\]\(([\w-]+\.md)\)", text)
        elsewhere = set().union(*(made_by((WEIGHTS / name).read_text(encoding="utf-8")) for name in named))
        for line in re.finditer(r"^mambadfuse train .* init_from=(\S+)", text, re.MULTILINE):
            assert line[1] in made_by(text[: line.start()]) | elsewhere, (card.name, line[1])
        assert card.with_suffix(".safetensors").name in made_by(text)


def test_commands_of_training_name_settings_that_exist():
    parser = ArgumentParser()
    cli.COMMANDS["train"].add_options(parser)
    for line in TRAINING:
        options = parser.parse_args(shlex.split(line)[2:])
        words = [word for word in options.settings if not word.startswith("init_from=")]
        model = configure(options.task, options.budget, options.config, words).model
        if isinstance(model, MambaDFuseConfig):
            assert replace(model, scan_order="raster") == MambaDFuseConfig.lite()
        else:
            assert model in (FastFusionConfig.fast(), FastFusionConfig.tiny())


def tables(card):
    """The tables of scores in a card: of each its rows, the cells by the name of the method."""
    found, names = [], None
    for line in card.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells[1:2] == ["mean rank"]:
            names = cells[1:]
            found.append({})
        elif not cells:
            names = None
        elif names and not cells[0].startswith("-"):
            found[-1][cells[0].split(" (")[0]] = dict(zip(names, cells[1:], strict=True))
    return found


def scores(name):
    """What ``evaluate --csv`` wrote: mean, std and rank of every method."""
    found = {}
    with (WEIGHTS / "scores" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["what"] != "score":
                method = "these weights" if line["kind"] == "result" else line["method"]
                found.setdefault(method, {})[line["what"]] = {m: float(line[m] or "nan") for m in EIGHT}
    return found


def is_rounded(text, number):
    """Whether a number that is printed is the other one, rounded."""
    return text == f"{number:.{len(text.partition('.')[2])}f}"


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_tables_are_those_of_the_files_beside_the_cards(card):
    printed, files = tables(card), SCORES.get(card.stem, [card.stem])
    for rows, file in zip(printed, files, strict=True):
        methods = scores(file)
        assert rows.keys() == methods.keys()
        for name, cells in rows.items():
            wanted = methods[name]
            assert is_rounded(cells.pop("mean rank"), np.mean(list(wanted["rank"].values())))
            for metric, cell in cells.items():
                mean, _, std = cell.replace("*", "").partition(" ± ")
                assert is_rounded(mean, wanted["mean"][metric]), (name, metric)
                assert not std or is_rounded(std, wanted["std"][metric]), (name, metric)
                assert ("**" in cell) == (wanted["rank"][metric] == 1), (name, metric)


def test_every_file_of_scores_belongs_to_a_card():
    names = {name for card in CARDS for name in SCORES.get(card.stem, [card.stem])}
    assert {path.stem for path in (WEIGHTS / "scores").glob("*.csv")} == names


def test_scores_are_of_the_weights_that_lie_there_and_of_the_pictures_of_the_downloads():
    """Who renews weights has to score them again, and says so by copying their sums to the scores."""
    assert (WEIGHTS / "scores" / "SHA256SUMS").read_bytes() == (WEIGHTS / "SHA256SUMS").read_bytes()
    for path in (WEIGHTS / "scores").glob("*.csv"):
        dataset = catalogue.load(re.match(r"\w+(-mri)?", path.stem)[0])
        with path.open(encoding="utf-8", newline="") as file:
            pictures = [
                line["picture"]
                for line in csv.DictReader(file)
                if line["kind"] == "result" and line["picture"]
            ]
        assert pictures == [entry.name for entry in dataset.entries if entry.split in ("val", "test")]


@pytest.mark.slow
@pytest.mark.skipif(not PAIRS.is_dir(), reason="the real pairs do not lie beside this checkout")
@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_shipped_weights_have_the_scores_of_the_file(card):
    *_, scored = SCORES.get(card.stem, [card.stem])
    dataset, folder = ("tno", "ivf/test_tno") if card.stem in SCORES else (card.stem, f"{card.stem}/val")
    sides = [PAIRS / folder / side for side in folders_of(catalogue.load(dataset).task)]
    with (WEIGHTS / "scores" / f"{scored}.csv").open(encoding="utf-8", newline="") as file:
        line = next(
            line for line in csv.DictReader(file) if line["kind"] == "result" and line["what"] == "score"
        )
    a, b = (next(side.glob(f"{line['picture']}.*")) for side in sides)
    fused = mdf.fuse(a, b, model=card.stem)
    found = mdf.evaluate(fused, read_image(a), read_image(b), metrics=EIGHT)
    wanted = {name: float(line[name]) for name in EIGHT}
    assert found == pytest.approx(wanted, rel=2e-3)  # another machine rounds another pixel


def toy_folders(root, sides, count):
    """Where a download would be: one toy pair, as often as it has pairs."""
    toy = synthetic_pair(0, (48, 48))
    for side, picture in zip(sides, (toy.a, toy.b), strict=True):
        (root / side).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.uint8(255 * picture)).save(root / side / f"{number}.png")
    return root


@pytest.mark.slow
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
            root = toy_folders(tmp_path / letter, folders_of(dataset.task), len(dataset.split(split)))
            folders[letter] = str(root)
        else:
            words = [
                re.sub(r"\$([A-Z])", lambda m: folders[m[1]], word)
                for word in shlex.split(line, comments=True)
            ]
            done, said = cli.main(words[1:]), capsys.readouterr().err
            assert done == 0 or "does not hold the images of TNO-25" in said, said  # toys are none of them
    assert folders
