"""Downloads: data sets of the catalogue into a cache, every file verified, nothing ever half-written."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import pooch
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import RequestException, Timeout
from tqdm import tqdm

from mambadfuse.data.catalogue import Dataset, Entry, Source, load

VARIABLE = "MAMBADFUSE_DATA"
ADDRESS = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
FOLDERS = {
    "ivf": ("ir", "vi"),
    "ct-mri": ("mri", "ct"),
    "pet-mri": ("mri", "pet"),
    "spect-mri": ("mri", "spect"),
}


class DownloadError(RuntimeError):
    """A data set cannot be had; the message names file, address, what was expected and what was found."""


def where() -> Path:
    """The cache: the folder named by the variable MAMBADFUSE_DATA, else the platform's place for caches."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else pooch.os_cache("mambadfuse")


def get(name: str, split: str | None = None) -> Path:
    """The folder of a data set, downloaded where it is not in the cache yet.

    Below it lie ``<split>/{ir,vi}`` or ``<split>/{mri,ct}`` and so on, as :func:`find_sets` reads them. Each file
    grows under a temporary name, takes its own name once its SHA-256 is right, and is never fetched again: after an
    error or Ctrl-C a second call goes on with the files that are missing. It goes on file by file, not within one:
    they are single pictures, none above half a megabyte. A file in the cache that has been changed is replaced.

    Args:
        name: of the catalogue.
        split: one split alone; all by default.

    Raises:
        ValueError: there is no such data set or split.
        DownloadError: no checksums of the set are known, or a file cannot be fetched, verified or written.
    """
    dataset = load(name)
    if dataset.source is None:
        raise DownloadError(
            f"no checksums of {name} are known, so it is fetched by hand: from {dataset.origin} (terms: "
            f"{dataset.terms}). Then check its structure: mambadfuse data check FOLDER --as {name}"
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
            except DownloadError as error:
                kept = f"{done} of {len(files)} files are complete and kept"
                raise DownloadError(f"{error}. {kept}; call again to go on") from error.__cause__
    finally:
        for file in files:
            _remove_empty((where() / file).parent, there_before)
    return where() / name


def _remove_empty(folder: Path, keep: Path) -> None:
    """Removes a folder and those above it, below ``keep``, as far as they are empty."""
    with suppress(OSError):
        while folder != keep:
            folder.rmdir()
            folder = folder.parent


def _fetcher(dataset: Dataset, source: Source, entries: Sequence[Entry]) -> pooch.Pooch:
    """What knows the SHA-256 and the address of each file by its name in the cache."""
    checksums, addresses = {}, {}
    for entry in entries:
        sides = zip(
            FOLDERS[dataset.task], (source.a, source.b), (entry.sha256_a, entry.sha256_b), strict=True
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
    """Makes sure that a file is in the cache, or says in one sentence why it cannot be."""
    path, address = fetcher.abspath / file, fetcher.get_url(file)
    try:
        fetcher.fetch(file)
    except (NoConnection, Timeout) as error:
        host = urlsplit(address).hostname
        raise DownloadError(
            f"{path}: no connection to {host} ({_first_cause(error)}). Is this machine online? A proxy is taken from "
            "the variable HTTPS_PROXY"
        ) from error
    except RequestException as error:
        raise DownloadError(f"{path}: from {address} expected a whole file, found: {error}") from error
    except ValueError as error:  # of pooch: the message names both checksums
        raise DownloadError(f"{path}: from {address}: {error}".rstrip(".")) from error
    except OSError as error:
        reason = error.strerror or error
        raise DownloadError(
            f"{path}: from {address}: expected a folder to write to, found: {reason} (choose another with {VARIABLE})"
        ) from error


def _first_cause(error: BaseException) -> str:
    """What the system said, below the layers of the libraries."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error)
