"""The command data: what it prints, what it asks of the rooms below, and its exit codes."""

import numpy as np
import pytest

from mambadfuse.cli import main
from mambadfuse.data import catalogue, download
from mambadfuse.data.images import write_image


@pytest.fixture
def pairs(tmp_path):
    """A folder of two pairs, the second of which has a truncated image: its header is whole."""
    for side in ("ir", "vi"):
        (tmp_path / side).mkdir()
        for name in "12":
            write_image(tmp_path / side / f"{name}.png", np.full((40, 50), 7, np.uint8))
    picture = tmp_path / "vi" / "2.png"
    picture.write_bytes(picture.read_bytes()[:60])
    return tmp_path


def test_list_is_the_catalogue(capsys):
    assert main(["data", "list"]) == 0
    assert capsys.readouterr().out == catalogue.describe() + "\n"
    assert main(["data", "list", "tno"]) == 0
    assert capsys.readouterr().out == catalogue.describe("tno") + "\n"


def test_get_asks_for_the_split_and_prints_the_folder(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(download, "get", lambda *words: asked.append(words) or tmp_path)
    assert main(["data", "get", "tno"]) == 0
    assert main(["data", "get", "roadscene", "--split", "val"]) == 0
    assert asked == [("tno", None), ("roadscene", "val")]
    assert capsys.readouterr().out == f"{tmp_path}\n{tmp_path}\n"


def test_check_prints_its_report_and_fails_if_there_is_a_problem(pairs, capsys):
    assert main(["data", "check", str(pairs)]) == 0
    assert "1 set, 2 pairs, 0 problems" in capsys.readouterr().out
    assert main(["data", "check", str(pairs), "--decode"]) == 1
    assert "2.png: is truncated or damaged" in capsys.readouterr().out


def test_check_compares_with_a_data_set(pairs, capsys):
    assert main(["data", "check", str(pairs), "--as", "tno"]) == 1
    assert "lacks the pair 03 of tno test" in capsys.readouterr().out


def test_where_is_the_cache(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv(download.VARIABLE, str(tmp_path))
    assert main(["data", "where"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}\n"


@pytest.mark.parametrize("words", [["list"], ["get"], ["check", ".", "--as"]])
def test_an_unknown_data_set_is_one_line(words, capsys):
    assert main(["data", *words, "nonsense"]) == 1
    error = capsys.readouterr().err
    assert "unknown data set 'nonsense': choose one of roadscene" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("words", [[], ["get"], ["check"], ["wash"], ["where", "else"]])
def test_wrong_usage_is_exit_code_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["data", *words])
    assert stop.value.code == 2
    assert "usage: mambadfuse" in capsys.readouterr().err
