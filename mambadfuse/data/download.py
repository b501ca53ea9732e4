"""Downloads: data sets of the catalogue in a cache, every file verified and written atomically."""

import os
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import pooch
import requests
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import RequestException, Timeout
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from mambadfuse.data.catalogue import Dataset, Entry, Source, load
from mambadfuse.data.tasks import folders_of

VARIABLE = "MAMBADFUSE_DATA"
ADDRESS = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"

LARGEST_FILE = 64 * 2**20  # bytes; the largest image of the catalogue has half a megabyte
LONGEST = 300.0  # seconds for one file
_SILENCE = 30.0  # seconds without a byte
_LONGEST_HEADERS = 60.0  # seconds until the headers are complete, redirects included


class DownloadError(RuntimeError):
    """A data set cannot be downloaded; the message names file, address, what was expected and what was found."""


def where() -> Path:
    """The cache: the folder in the environment variable MAMBADFUSE_DATA, else the platform's place for caches."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else pooch.os_cache("mambadfuse")


def get(name: str, split: str | None = None) -> Path:
    """The folder of a data set, which is downloaded unless it is in the cache.

    Below it lie ``<split>/{ir,vi}``, ``<split>/{mri,ct}`` and so on, as
    :func:`mambadfuse.data.discovery.find_sets` reads them. Each file is written under a temporary name, renamed once
    its SHA-256 is right, and never fetched again: after an error or Ctrl-C a second call fetches the missing files.
    A single file is not resumed: they are images of at most half a megabyte. A server that announces or sends more
    than ``LARGEST_FILE`` bytes, takes longer than ``LONGEST`` seconds for a file, or longer than a minute for its
    headers, is left. A file in the cache that was changed is replaced.

    Args:
        name: of a data set in the catalogue.
        split: the only split to fetch; all by default.

    Raises:
        ValueError: there is no such data set or split.
        DownloadError: no checksums of the set are known, or a file cannot be fetched, verified or written.
    """
    dataset = load(name)
    if dataset.source is None:
        raise DownloadError(
            f"no checksums of {name} are known, so fetch it by hand from {dataset.origin} (terms: {dataset.terms}). "
            f"Then check its structure: mambadfuse data check FOLDER --as {name}"
        )
    entries = dataset.entries if split is None else dataset.split(split)
    fetcher = _fetcher(dataset, dataset.source, entries)
    pooch.get_logger().setLevel("WARNING")  # one progress bar instead of one line a file
    files = fetcher.registry_files
    there_before = next(folder for folder in (where() / name).parents if folder.exists())
    try:
        for done, file in enumerate(tqdm(files, desc=name, unit="file", disable=None)):
            try:
                _fetch(fetcher, file)
            except (DownloadError, KeyboardInterrupt) as error:
                kept = f"{done} of {len(files)} files are complete and kept; call again to fetch the others"
                if isinstance(error, KeyboardInterrupt):
                    raise KeyboardInterrupt(kept) from None
                raise DownloadError(f"{error}. {kept}") from error.__cause__
    finally:
        for file in files:
            _remove_empty((where() / file).parent, there_before)
    return where() / name


def _remove_empty(folder: Path, keep: Path) -> None:
    """Removes a folder and its parents below ``keep``, as far as they are empty."""
    with suppress(OSError):
        while folder != keep:
            folder.rmdir()
            folder = folder.parent


def _fetcher(dataset: Dataset, source: Source, entries: Sequence[Entry]) -> pooch.Pooch:
    """Fetches files by their name in the cache; it knows the SHA-256 and the address of each."""
    checksums, addresses = {}, {}
    for entry in entries:
        sides = zip(
            folders_of(dataset.task), (source.a, source.b), (entry.sha256_a, entry.sha256_b), strict=True
        )
        for folder, template, sha256 in sides:
            path = template.format(name=entry.name)
            file = f"{dataset.name}/{entry.split}/{folder}/{Path(path).name}"
            checksums[file] = f"sha256:{sha256}"
            addresses[file] = ADDRESS.format(
                repository=source.repository, commit=source.commit, path=quote(path)
            )
    return pooch.create(path=where(), base_url="", registry=checksums, urls=addresses)


def _fetch(fetcher: pooch.Pooch, file: str) -> None:
    """Puts a file into the cache unless it is there, or says in one sentence why that fails."""
    path, address = fetcher.abspath / file, fetcher.get_url(file)
    try:
        fetcher.fetch(file, downloader=receive)
    except (NoConnection, Timeout) as error:
        host = urlsplit(address).hostname
        raise DownloadError(
            f"{path}: no connection to {host} ({_first_cause(error)}). Is this machine online? A proxy is taken from "
            "the environment variable HTTPS_PROXY"
        ) from error
    except RequestException as error:
        raise DownloadError(f"{path}: from {address} expected a whole file, found: {error}") from error
    except ValueError as error:  # raised by pooch: the message names both checksums
        raise DownloadError(f"{path}: from {address}: {error}".rstrip(".")) from error
    except OSError as error:
        reason = error.strerror or error
        raise DownloadError(
            f"{path}: from {address}: expected a folder to write to, found: {reason} (choose another with {VARIABLE})"
        ) from error


def receive(address: str, output: str, _fetcher: pooch.Pooch) -> None:
    """Writes what an address holds into a file, within the limits of size and time.

    Raises:
        RequestException: a refusal, an incomplete body, or one beyond the limits.
    """
    stop = time.monotonic() + LONGEST
    with _reply(address) as reply:
        reply.raise_for_status()
        announced = reply.headers.get("Content-Length", "")
        _require_small(int(announced) if announced.isdecimal() else 0)
        received = 0
        with open(output, "wb") as file:
            while part := _part(reply):
                received += len(part)
                _require_small(received)
                if time.monotonic() > stop:
                    raise RequestException(f"{received} bytes in {LONGEST:g} seconds, and no end")
                file.write(part)


def _reply(address: str) -> requests.Response:
    """The reply, once its headers are complete; a thread waits for them, as a server may send them byte by byte."""
    replies: queue.SimpleQueue[requests.Response | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            replies.put(
                requests.get(address, stream=True, timeout=_SILENCE, headers={"Accept-Encoding": "identity"})
            )
        except Exception as error:  # raised below, in the thread of the caller
            replies.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        reply = replies.get(timeout=_LONGEST_HEADERS)
    except queue.Empty:
        raise RequestException(f"no complete headers in {_LONGEST_HEADERS:g} seconds") from None
    if isinstance(reply, Exception):
        raise reply
    return reply


def _part(reply: requests.Response) -> bytes:
    """The bytes that have arrived; waits for one at least, unless the body is complete."""
    try:
        part: bytes = reply.raw.read1(2**16)
    except HTTPError as error:  # of urllib3, such as an incomplete body
        raise RequestException(str(error)) from error
    return part


def _require_small(size: int) -> None:
    if size > LARGEST_FILE:
        raise RequestException(f"{size} bytes or more, expected at most {LARGEST_FILE}")


def _first_cause(error: BaseException) -> str:
    """The message of the operating system, below the layers of the libraries."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error)
