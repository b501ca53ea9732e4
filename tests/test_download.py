"""Downloads: verified and resumable, and after every failure nothing half-written is left.

A server on the loopback interface stands in for the real one; it serves a made-up set, and real images where this
machine has them.
"""

import errno
import hashlib
import re
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests
from PIL import Image

from mambadfuse.data import download
from mambadfuse.data.catalogue import Dataset, Entry, Source, load
from mambadfuse.data.checking import check
from mambadfuse.data.discovery import find_sets
from mambadfuse.data.download import DownloadError, get, where
from mambadfuse.data.tasks import TASKS, folders_of

SHARED = Path(__file__).parents[2] / "shared" / "data"
COMMIT = "0123456789" * 4


class Server:
    """Serves ``files`` by path; one in ``replies`` gets that reply instead: (status, body, length or None)."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.replies: dict[str, tuple[int, bytes, int | None]] = {}
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                body = server.files.get(self.path)
                missing = (404, b"not here", 8)
                usual = missing if body is None else (200, body, len(body))
                status, body, length = server.replies.get(self.path, usual)
                self.send_response(status)
                if length is not None:
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def stop(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch):
    server = Server()
    monkeypatch.setattr(download, "ADDRESS", server.address + "/{repository}/{commit}/{path}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.stop()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMBADFUSE_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def toyset(server, cache, tmp_path, monkeypatch):
    """A made-up set of three training pairs and one for validation, known to the catalogue and to the server."""
    rng = np.random.default_rng(0)
    entries = []
    for name, split in (("1", "train"), ("2", "train"), ("3 é", "train"), ("4", "val")):
        sums = []
        for side in ("MRI", "CT"):
            picture = tmp_path / "picture.png"
            Image.fromarray(rng.integers(0, 256, (8, 9), dtype=np.uint8)).save(picture)
            content = picture.read_bytes()
            quoted = name.replace(" é", "%20%C3%A9")
            server.files[f"/someone/pairs/{COMMIT}/{side}/{quoted}.png"] = content
            sums.append(hashlib.sha256(content).hexdigest())
        entries.append(Entry(split, name, *sums))
    source = Source("someone/pairs", COMMIT, "MRI/{name}.png", "CT/{name}.png")
    pairs = {"train": 3, "val": 1}
    facts = (source, tuple(entries), pairs, None)
    toyset = Dataset("toyset", "Toys", "ct-mri", "https://example.org", "tiny", "none", "", *facts)
    monkeypatch.setattr(download, "load", lambda name: toyset if name == "toyset" else load(name))
    return toyset


def path_of(server: Server, ending: str) -> str:
    (path,) = (path for path in server.files if path.endswith(ending))
    return path


def expect_only_whole_files(cache: Path, server: Server, count: int) -> None:
    whole = {hashlib.sha256(content).hexdigest() for content in server.files.values()}
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert len(files) == count
    assert all(path.suffix == ".png" and pooch.file_hash(str(path)) in whole for path in files)


def test_a_whole_set_arrives_in_the_layout_of_the_kit_and_is_never_fetched_twice(server, cache, toyset):
    folder = get("toyset")
    assert folder == cache / "toyset"
    assert [(s.task, s.split, s.folder_a.name) for s in find_sets(folder)] == [
        ("ct-mri", "train", "mri"),
        ("ct-mri", "val", "mri"),
    ]
    assert check(folder, decode=True).ok
    expect_only_whole_files(cache, server, 8)
    assert get("toyset") == folder
    assert len(server.asked) == 8


def test_one_split_alone(server, cache, toyset):
    get("toyset", "val")
    expect_only_whole_files(cache, server, 2)
    with pytest.raises(ValueError, match="toyset has no split 'test': choose one of train, val"):
        get("toyset", "test")


def test_the_cache_is_named_by_one_variable(cache, monkeypatch):
    assert where() == cache
    monkeypatch.setenv("MAMBADFUSE_DATA", "~/pairs")
    assert where() == Path.home() / "pairs"
    monkeypatch.delenv("MAMBADFUSE_DATA")
    assert where() == pooch.os_cache("mambadfuse")


FAILURES = {
    "404": ((404, b"", 0), "404"),
    "server error": ((503, b"", 0), "503"),
    "truncated": ((200, b"\x89PNG", 400), r"4 bytes read, 396 more expected"),
    "wrong content": ((200, b"other", 5), "expected sha256:{expected} but got .*d9298a10d1b0735837dc4bd85dac64"),
    "empty": ((200, b"", 0), "expected sha256:{expected}"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAILURES)
def test_a_bad_reply_is_one_clear_error_and_a_second_call_goes_on(kind, server, cache, toyset):
    reply, said = FAILURES[kind]
    bad = path_of(server, "CT/2.png")
    server.replies[bad] = reply
    with pytest.raises(DownloadError) as error:
        get("toyset")
    message = str(error.value)
    assert str(cache / "toyset" / "train" / "ct" / "2.png") in message
    assert server.address + bad in message
    assert re.search(said.format(expected=toyset.entries[1].sha256_b), message), message
    assert "3 of 8 files are complete and kept; call again to fetch the others" in message
    expect_only_whole_files(cache, server, 3)
    assert all(any(folder.iterdir()) for folder in cache.rglob("*") if folder.is_dir())

    server.replies.clear()
    server.asked.clear()
    get("toyset")
    assert len(server.asked) == 5
    expect_only_whole_files(cache, server, 8)


def test_no_server_is_said_plainly_and_leaves_nothing_behind(server, cache, toyset):
    server.stop()
    with pytest.raises(DownloadError) as error:
        get("toyset")
    message = str(error.value)
    assert "no connection to 127.0.0.1 (" in message
    assert "Is this machine online?" in message
    assert "HTTPConnectionPool" not in message
    assert message.endswith("0 of 8 files are complete and kept; call again to fetch the others")
    assert not cache.exists()


def test_a_server_that_does_not_answer(server, cache, toyset, monkeypatch):
    def wait(*_, **__):
        raise requests.exceptions.ReadTimeout("read timed out")

    monkeypatch.setattr(requests, "get", wait)
    cache.mkdir()
    with pytest.raises(DownloadError, match=r"no connection to 127\.0\.0\.1 \(read timed out\)"):
        get("toyset")
    assert list(cache.iterdir()) == []


def test_interrupted_in_the_middle_of_a_file_and_resumed(server, cache, toyset, monkeypatch):
    fetch = download.receive

    def interrupted(url, output_file, *rest):
        if url.endswith("CT/1.png"):
            Path(output_file).write_bytes(b"half")
            raise KeyboardInterrupt
        return fetch(url, output_file, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(download, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt, match="1 of 8 files are complete and kept; call again"):
            get("toyset")
    expect_only_whole_files(cache, server, 1)
    get("toyset")
    expect_only_whole_files(cache, server, 8)
    assert len(server.asked) == 8


def test_a_file_damaged_in_the_cache_is_replaced(server, cache, toyset):
    damaged = get("toyset") / "train" / "mri" / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:-5])
    server.asked.clear()
    get("toyset")
    assert len(server.asked) == 1
    expect_only_whole_files(cache, server, 8)


def test_a_damaged_file_stays_as_it_is_while_its_replacement_cannot_be_had(server, cache, toyset):
    damaged = get("toyset") / "train" / "mri" / "1.png"
    damaged.write_bytes(b"damaged")
    server.replies[path_of(server, "MRI/1.png")] = (404, b"", 0)
    with pytest.raises(DownloadError, match="404"):
        get("toyset")
    assert damaged.read_bytes() == b"damaged"
    assert len([path for path in cache.rglob("*") if path.is_file()]) == 8


def test_a_body_is_too_large_before_it_is_read(server, cache, toyset, monkeypatch):
    monkeypatch.setattr(download, "LARGEST_FILE", 1000)
    server.replies[path_of(server, "MRI/2.png")] = (200, b"", 10**12)
    with pytest.raises(
        DownloadError, match=r"2\.png: from .*found: 1000000000000 bytes or more.*at most 1000\b"
    ):
        get("toyset")
    expect_only_whole_files(cache, server, 2)


def test_a_body_that_announces_nothing_is_too_large_while_it_is_read(server, cache, toyset, monkeypatch):
    monkeypatch.setattr(download, "LARGEST_FILE", 1000)
    server.replies[path_of(server, "MRI/2.png")] = (200, bytes(5000), None)
    with pytest.raises(DownloadError, match=r"found: \d{4} bytes or more, expected at most 1000\b"):
        get("toyset")
    expect_only_whole_files(cache, server, 2)


def test_a_server_that_drips_is_left(server, cache, toyset, monkeypatch):
    monkeypatch.setattr(download, "LONGEST", -1)
    with pytest.raises(DownloadError, match=r"found: \d+ bytes in -1 seconds, and no end"):
        get("toyset")
    assert not cache.exists()


def test_a_server_that_never_ends_its_headers_is_left(cache, toyset, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        monkeypatch.setattr(download, "ADDRESS", f"http://127.0.0.1:{port}/{{path}}")
        monkeypatch.setattr(download, "_LONGEST_HEADERS", 0.2)
        connections = []

        def begin():
            connections.append(listening.accept()[0])
            connections[0].sendall(b"HTTP/1.1 200 OK\r\nX-Begun: ")

        thread = threading.Thread(target=begin)
        thread.start()
        with pytest.raises(DownloadError, match=r"found: no complete headers in 0\.2 seconds"):
            get("toyset")
        thread.join()
        connections[0].close()
    assert not cache.exists()


def test_a_full_disk(server, cache, toyset, monkeypatch):
    fetch = download.receive

    def full(url, output_file, *rest):
        if url.endswith("MRI/2.png"):
            Path(output_file).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return fetch(url, output_file, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(download, "receive", full)
        with pytest.raises(
            DownloadError, match=r"2\.png: from http.* found: No space left on device .*MAMBADFUSE_DATA"
        ):
            get("toyset")
    expect_only_whole_files(cache, server, 2)
    get("toyset")
    expect_only_whole_files(cache, server, 8)


def test_a_cache_that_cannot_be_written(server, cache, toyset, monkeypatch):
    """Tests may run as root, whom no permission stops: the refusal is made up."""

    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("os.makedirs", refuse)
        with pytest.raises(DownloadError, match=r"1\.png: from http.*Permission denied.*MAMBADFUSE_DATA"):
            get("toyset")
    assert not cache.exists()

    get("toyset")
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.NamedTemporaryFile", refuse)
        get("toyset")  # complete, so nothing has to be written


def test_a_cache_that_is_a_file(server, cache, toyset):
    cache.write_text("mine")
    with pytest.raises(DownloadError, match=r"expected a folder to write to.*MAMBADFUSE_DATA"):
        get("toyset")
    assert cache.read_text() == "mine"


def test_a_set_without_checksums_says_how_to_come_by_it(cache):
    with pytest.raises(
        DownloadError, match=r"no checksums of llvip.*https://github\.com/bupt.*terms.*--as llvip"
    ):
        get("llvip")
    with pytest.raises(ValueError, match="unknown data set"):
        get("coco")


def test_every_task_has_its_folders():
    assert {task: folders_of(task) for task in TASKS} == {
        "ivf": ("ir", "vi"),
        "ct-mri": ("mri", "ct"),
        "pet-mri": ("mri", "pet"),
        "spect-mri": ("mri", "spect"),
    }


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real pairs are not at hand")
@pytest.mark.parametrize(
    ("name", "split", "a", "b"),
    [
        ("roadscene", "val", "ivf/val/ir/roadscene_{}.jpg", "ivf/val/vi/roadscene_{}.jpg"),
        ("tno", "test", "ivf/test_tno/ir/{}.png", "ivf/test_tno/vi/{}.png"),
        ("ct-mri", "val", "ct-mri/val/mri/{}.png", "ct-mri/val/ct/{}.png"),
        ("pet-mri", "val", "pet-mri/val/mri/{}.png", "pet-mri/val/pet/{}.png"),
        ("spect-mri", "val", "spect-mri/val/mri/{}.png", "spect-mri/val/spect/{}.png"),
    ],
)
def test_real_pictures_arrive_by_the_real_catalogue(name, split, a, b, server, cache, monkeypatch):
    dataset = load(name)
    few = tuple(entry for entry in dataset.entries if entry.split == split)[:3]
    monkeypatch.setattr(download, "load", lambda _: replace(dataset, entries=few, pairs={split: len(few)}))
    for entry in few:
        for ours, theirs in ((a, dataset.source.a), (b, dataset.source.b)):
            path = f"/{dataset.source.repository}/{dataset.source.commit}/{theirs.format(name=entry.name)}"
            server.files[path] = (SHARED / ours.format(entry.name)).read_bytes()
    (found,) = find_sets(get(name, split).parent / name)
    assert (found.task, found.split) == (dataset.task, split)
    assert [pair.name for pair in found.pairs] == sorted(entry.name for entry in few)
