"""Files of pairs: what they list, and errors that name line and column."""

import re

import pytest

from mambadfuse.cli import main
from mambadfuse.data.checking import check
from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.pairs import PairError
from mambadfuse.data.pairs_file import read_pairs_file
from mambadfuse.data.samples import samples
from mambadfuse.data.training_pairs import find_training_pairs


@pytest.fixture
def listing(tmp_path):
    """Writes the file of pairs in a folder beside the images x/1.png, x/2.png, y/1.png and y/2.png."""
    for name in ("x/1.png", "x/2.png", "y/1.png", "y/2.png", "lists/ü 3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    def write(text, encoding="utf-8"):
        (tmp_path / "lists/pairs.csv").write_bytes(text.encode(encoding))
        return tmp_path / "lists/pairs.csv"

    return write


def named(found):
    return [(pair.name, pair.a.name, pair.b.name) for pair in found.pairs]


@pytest.mark.parametrize("header", ["", "a,b\n", "A, B ,Name\r\n", "\n\na,b,name\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_lines_are_pairs_with_paths_relative_to_the_file(listing, tmp_path, header, encoding):
    if header.startswith("\n"):
        header = header.strip() + "\n\n"
    found = find_pairs(listing(f"{header}../x/2.png,../y/1.png\n\n../x/1.png, ü 3.png,night/ü\n", encoding))
    assert named(found) == [("2", "2.png", "1.png"), ("night/ü", "1.png", "ü 3.png")]
    assert (found.issues, found.folders) == ((), ())
    assert {path.resolve() for path in found.files} >= {tmp_path / "x/1.png", tmp_path / "y/1.png"}


def test_absolute_paths_and_quoted_names(listing, tmp_path):
    (tmp_path / "x" / "a,b.png").write_bytes(b"x")
    found = read_pairs_file(listing(f'"{tmp_path}/x/a,b.png",{tmp_path}/y/1.png\n'))
    assert named(found) == [("a,b", "a,b.png", "1.png")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("header", ["a,b,name\r\n", "a,b\n", ""])
def test_spreadsheets_of_any_country_are_read(listing, delimiter, encoding, header):
    text = f"{header}../x/1.png,../y/1.png,one\n../x/2.png,../y/2.png\n".replace(",", delimiter)
    assert named(find_pairs(listing(text, encoding))) == [("2", "2.png", "2.png"), ("one", "1.png", "1.png")]


def test_a_list_of_single_files_is_told_what_a_line_holds(listing):
    with pytest.raises(PairError, match="line 1: expected a,b or a,b,name, found 1 cells"):
        read_pairs_file(listing("../x/1.png\n../y/1.png\n"))


def test_the_separator_is_the_one_by_which_the_files_are_there(listing, tmp_path):
    for name in ("x/1;a.png", "x/2,b.png", "y/2,b.png"):
        (tmp_path / name).write_bytes(b"x")
    assert named(find_pairs(listing("../x/1;a.png,../y/1.png\n"))) == [("1;a", "1;a.png", "1.png")]
    assert named(find_pairs(listing("../x/2,b.png;../y/2,b.png\n"))) == [("2,b", "2,b.png", "2,b.png")]
    (tmp_path / "lists/1").write_bytes(b"x")
    (tmp_path / "lists/1,1;2").write_bytes(b"x")
    (tmp_path / "lists/1;2").write_bytes(b"x")
    (tmp_path / "lists/2").write_bytes(b"x")
    (tmp_path / "lists/1,1").write_bytes(b"x")
    with pytest.raises(PairError, match="could be separated by commas or semicolons, and both list files"):
        find_pairs(listing("1,1;2\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("../x/1.png,../y/1.png\n".encode("utf-16-le"), "UTF-16 without its mark: save it as UTF-8"),
        (b"\xff\xfe" + b"x" * 5, "is damaged UTF-16"),
        ("../x/1.png,ü 3.png\n".encode("latin-1"), "the list is not UTF-8, save it as that"),
        (b"../x/1.png,../y/1.png,x\0y\n", "is not a text"),
    ],
)
def test_a_text_that_cannot_be_read_is_named_as_that(listing, content, message):
    path = listing("")
    path.write_bytes(content)
    with pytest.raises(PairError, match=re.escape(message)):
        find_pairs(path)


@pytest.mark.parametrize("name", [".", "./", "..", ".hidden", "x/..", "x\\y", "/", "x\x07"])
def test_a_name_that_names_no_file_is_refused(listing, name):
    with pytest.raises(PairError, match=r"line 1, column name: .* is not the name of a result"):
        find_pairs(listing(f"../x/1.png,../y/1.png,{name}\n"))


@pytest.mark.parametrize(
    ("name", "fits"), [("n" * 300, "n" * 250), ("night/" + "é" * 126, "night/" + "é" * 125)]
)
def test_a_name_too_long_for_a_file_is_refused_and_one_that_just_fits_is_not(listing, name, fits):
    with pytest.raises(PairError, match=r"line 1, column name: .* is longer than 250 bytes"):
        find_pairs(listing(f"../x/1.png,../y/1.png,{name}\n"))
    assert find_pairs(listing(f"../x/1.png,../y/1.png,{fits}\n")).pairs[0].name == fits
    with pytest.raises(PairError, match=r"column a: .* there is no such file"):
        find_pairs(listing(f"{name},../y/1.png\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "lists no pairs"),
        ("", "lists no pairs"),
        ("a,b\n../x/1.png\n", "line 2: expected a,b or a,b,name, found 1 cells"),
        ("../x/1.png,../y/1.png,1,2\n", "line 1: expected a,b or a,b,name, found 4 cells"),
        ("../x/1.png,../y/1.png\n../x/2.png,../y/9.png\n", "line 2, column b: ../y/9.png: there is no such file"),
        ("../x,../y/1.png\n", "line 1, column a: ../x: is not a file"),
        (",../y/1.png\n", "line 1, column a: is empty, expected the path of an image"),
        ("../x/1.png,../y/../x/1.png\n", "line 1, column b: ../y/../x/1.png: is the same file as side a"),
        ("../x/1.png,../y/1.png\n../y/1.png,../x/2.png\n", "line 2, column name: the name '1' is that of line 1"),
        ("../x/1.png,../y/1.png,N\n../x/2.png,../y/2.png,n\n", "line 2, column name: the name 'n' is that of line 1"),
        ("../x/1.png,../y/1.png,../x/1\n", "line 1, column name: '../x/1' is not the name of a result"),
        ("../x/1.png,../y/1.png,/x/1\n", "line 1, column name: '/x/1' is not the name of a result"),
        ('../x/1.png,"../y/1.png\n', "line 1: is not CSV"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_line_and_column(listing, text, message):
    with pytest.raises(PairError, match=re.escape(f"pairs.csv: {message}")):
        read_pairs_file(listing(text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PairError, match=r"none\.csv: there is no such file"):
        find_pairs(tmp_path / "none.csv")


def test_the_task_is_that_of_the_names(listing, tmp_path):
    for name in ("ir_1.png", "vis_1.png"):
        (tmp_path / "x" / name).write_bytes(b"x")
    assert read_pairs_file(listing("../x/ir_1.png,../x/vis_1.png\n")).task == "ivf"
    assert read_pairs_file(listing("../x/1.png,../y/1.png\n")).task is None


def test_checking_and_training_take_the_file(tmp_path, capsys):
    first, second = samples("ivf")
    (tmp_path / "pairs.csv").write_text(f"{first.a},{first.b},x\n{second.a},{second.b},y\n")
    file = tmp_path / "pairs.csv"
    assert check(file).ok
    assert [pair.name for pair in find_training_pairs(file)] == ["x", "y"]
    assert main(["data", "check", "--pairs-file", str(file)]) == 0
    assert "1 set, 2 pairs, 0 problems" in capsys.readouterr().out
