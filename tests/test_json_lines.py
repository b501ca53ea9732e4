"""Files of JSON lines: whole entries in order, whatever is killed, damaged or written at the same time."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from mambadfuse.json_lines import append_line, read_lines
from mambadfuse.locks import BusyError, locked


@dataclass(frozen=True)
class Entry:
    name: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("the name is empty")


def read(path: Path) -> list[str]:
    return [one.name for one in read_lines(path, Entry, "an entry")]


def append(path: Path, *names: str) -> None:
    for name in names:
        append_line(path, {"name": name})


def test_entries_come_back_in_order(tmp_path):
    path = tmp_path / "new" / "entries.jsonl"
    assert read(path) == []
    append(path, "first", "é 夜", "two\nlines")
    assert read(path) == ["first", "é 夜", "two\nlines"]
    assert path.read_text(encoding="utf-8").count("\n") == 3


def test_a_name_with_a_byte_that_is_no_text_comes_back(tmp_path):
    name = os.fsdecode(b"bad\xff.png")
    append(tmp_path / "entries.jsonl", name)
    assert read(tmp_path / "entries.jsonl") == [name]
    (tmp_path / "entries.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("damage", [b'{"name": "x', b'{"name": "\xff"}\n', b"[" * 100_000, b"\0\0\0\n"])
def test_a_damaged_line_costs_itself_alone(tmp_path, caplog, damage):
    path = tmp_path / "entries.jsonl"
    append(path, "before")
    with path.open("ab") as file:
        file.write(damage)
    append(path, "after")
    with caplog.at_level(logging.WARNING):
        assert read(path) == ["before", "after"]
    assert f"{path}: line 2 is incomplete" in caplog.text


@pytest.mark.parametrize("line", ['{"name": ""}', '{"other": 1}', "{}", "7", "null"])
def test_a_complete_line_that_is_no_entry_is_named(tmp_path, line):
    path = tmp_path / "entries.jsonl"
    path.write_text(f'{{"name": "x"}}\n{line}\n')
    with pytest.raises(ValueError, match=r"entries\.jsonl: line 2 is not an entry: "):
        read(path)


def test_ends_of_lines_as_windows_writes_them_are_read(tmp_path):
    path = tmp_path / "entries.jsonl"
    path.write_bytes(b'{"name": "x"}\r\n\r\n{"name": "y"}\r\n')
    assert read(path) == ["x", "y"]


def test_threads_do_not_mix_their_lines(tmp_path):
    path = tmp_path / "entries.jsonl"
    names = [[f"{thread}-{number}" * 100 for number in range(5)] for thread in range(4)]
    threads = [Thread(target=append, args=(path, *own)) for own in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read(path)
    assert sorted(found) == sorted(name for own in names for name in own)
    for own in names:
        assert [name for name in found if name in own] == own


def test_a_writer_that_does_not_end_is_named_and_nothing_is_written(tmp_path):
    path = tmp_path / "entries.jsonl"
    append(path, "before")
    with (
        locked(tmp_path / ".entries.jsonl.lock", "busy"),
        pytest.raises(BusyError, match=r"entries\.jsonl: another process is writing"),
    ):
        append_line(path, {"name": "after"}, timeout=0)
    assert read(path) == ["before"]


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    with pytest.raises(OSError, match=f"{tmp_path}: cannot be written"):
        append(tmp_path, "x")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for action in (lambda path: append(path, "x"), read):
        with pytest.raises(OSError, match="pipe: is a pipe, socket or device"):
            action(tmp_path / "pipe")
