"""Which results are kept: those made with the same settings, intact, and newer than their sources."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from PIL import Image
from torch import nn

from mambadfuse.components import imported_digests
from mambadfuse.data.images import WRITTEN
from mambadfuse.data.record import (
    OLD_RECORD,
    SOURCES,
    Made,
    Recorded,
    made_as,
    names_in,
    old_record,
    read_record,
    relative_name,
    sha256_of,
)
from mambadfuse.files import OnComplete, atomic_write, made_folder, make_folder
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.tiling import TiledModel
from mambadfuse.locks import locked
from mambadfuse.models.checkpoints import weights_digest
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.source_code import own_files

MANIFEST = ".fused_with.jsonl"
_CHOSEN_TILE = "chosen_tile"
_LOCK_TIMEOUT = 1.0  # seconds; others hold a lock for a moment while they see whether it is free

Settings = dict[str, str | int | float | list[str] | None]


def settings_of(network: nn.Module, model: str, options: FusionOptions) -> Settings:
    """What decides the pixels of a result, the sources aside.

    Args:
        network: that fuses.
        model: its name, for messages.
        options: of fusing.
    """
    tiles: Settings = {"tile": None}
    if isinstance(network, TiledModel):
        tiles = {"tile": network.size, "overlap": network.overlap}
        network = network.network
    contrast = getattr(network, "contrast", 1.0) if options.contrast is None else options.contrast
    own = network.config.own_components() if isinstance(network, MambaDFuse) else {}
    modules = own_files(name.partition(":")[0] for name in own.values())
    digests = {module: digest for module, digest in imported_digests().items() if module in modules}
    code = " ".join(f"{module} {digest}" for module, digest in sorted(digests.items()))
    return {
        "model": model,
        "weights": weights_digest(network),
        "colour": options.colour,
        "contrast": contrast,
        "bits": options.bits,
        **tiles,
        **options.reading.settings(),
        **({"align": options.align} if options.align else {}),
        **({"code": code} if code else {}),
    }


def why_outdated(result: Path, sources: Iterable[Path]) -> str | None:
    """Why an existing result no longer stands for its sources; None if it does.

    It is empty, a damaged image, or older than one of them. Of a PNG file the checksums of all parts are compared.
    """
    if not result.is_file():
        return "was not a file"
    made = result.stat()
    if not made.st_size:
        return "was empty (0 bytes)"
    if error := _damage(result):
        return f"was damaged ({error})"
    newer = (source for source in sources if source.exists() and source.stat().st_mtime_ns > made.st_mtime_ns)
    return next((f"was older than {source}" for source in newer), None)


def _damage(result: Path) -> Exception | None:
    """What a decoder says of a damaged image; None of an intact one, and of files of other kinds."""
    if result.suffix.lower() in WRITTEN:
        try:
            with Image.open(result) as image:
                image.verify()
        except Exception as error:  # decoders meet broken data with almost any exception
            return error
    return None


class RunRecord:
    """What a run records about its results; it is handed out by :func:`recording`."""

    def __init__(self, file: Path, names: Mapping[Path, str], settings: Settings, recorded: Recorded) -> None:
        self._file, self._names, self._settings = file, names, settings
        self._recorded = defaultdict(list, recorded)
        self._write([made for of_name in recorded.values() for made in of_name])

    def of(self, target: Path, tile: int | None = None) -> OnComplete:
        """What records a result once it is complete, before it gets its name: an ``on_complete``.

        Args:
            target: the file of the result.
            tile: side of the tiles that memory was too small to do without. It is recorded as ``chosen_tile``, but not
                compared.
        """
        settings = self._settings | ({_CHOSEN_TILE: tile} if tile else {})

        def record(complete: Path) -> None:
            made = Made(self._names[target], sha256_of(complete), settings)
            self._recorded[made.name].append(made)
            with self._file.open("ab") as lines:
                lines.write(made.line())

        return record

    def close(self) -> None:
        """Leaves one line for each result that is there; no file if there is none."""
        for target, name in self._names.items():
            lines = self._recorded.pop(name, [])
            if _is_there(target) and lines:
                self._recorded[name] = [made_as(target, lines) or lines[-1]] if len(lines) > 1 else lines
        if left := [made for of_name in self._recorded.values() for made in of_name]:
            self._write(left)
        else:
            self._file.unlink(missing_ok=True)

    def _write(self, lines: Iterable[Made]) -> None:
        make_folder(self._file.parent)
        with atomic_write(self._file) as opened:
            opened.writelines(made.line() for made in lines)


def manifest(
    folder: Path,
    targets: Sequence[Path],
    settings: Settings,
    overwrite: bool,
    shard: tuple[int, int] | None = None,
) -> AbstractContextManager[RunRecord]:
    """As :func:`recording`, for a folder of results, or a shard of it with a manifest of its own.

    Args:
        folder: of the results.
        targets: the results that the run is to write.
        settings: of the run.
        overwrite: whether the run replaces existing results.
        shard: which part of how many parts of all results these are.
    """
    return recording(folder, targets, settings, overwrite, "{}-of-{}".format(*shard) if shard else None)


def manifest_of_pair(
    targets: Sequence[Path], sources: Iterable[Path], settings: Settings, overwrite: bool
) -> AbstractContextManager[RunRecord]:
    """As :func:`recording`, for what is made of a single pair, which also records its sources.

    Args:
        targets: the file of the result, in whose folder the manifest lies, and files that are written beside it.
        sources: the two images of the pair.
        settings: of the run.
        overwrite: whether the run replaces existing files.
    """
    folder = targets[0].parent
    settings = {**settings, SOURCES: [relative_name(source, folder) for source in sources]}
    digest = hashlib.sha256(os.fsencode(targets[0].name)).hexdigest()[:12]
    return recording(folder, targets, settings, overwrite, digest)


@contextmanager
def recording(
    folder: Path, targets: Sequence[Path], settings: Settings, overwrite: bool, part: str | None = None
) -> Iterator[RunRecord]:
    """Wraps a run that writes results, and records the settings and the content of each one that it writes.

    A result is recorded just before it gets its name, so that a run that is killed at any moment can be resumed, and
    any other file of that name is recognised.

    Args:
        folder: that holds the manifest.
        targets: the results that the run is to write.
        settings: of the run.
        overwrite: whether the run replaces existing results.
        part: the name of a manifest for these results alone, since several processes may write into one folder at once;
            of two manifests that record one result, the newer one counts. None for the manifest of the folder.

    Raises:
        ValueError: without ``overwrite``, if a file exists that is not a result recorded with these settings.
        BusyError: another process is writing these results.
        OSError: the folder cannot be created or written to.
    """
    with made_folder(folder), _sole_writer(folder, part):
        recorded = read_record(folder)
        names = {target: relative_name(target, folder) for target in targets}
        if not overwrite:
            _require_same(folder, names, settings, recorded)
        file = _hidden(folder, part, "jsonl")
        if part:
            kept = {*names.values(), *names_in(file)}
            recorded = {name: made for name, made in recorded.items() if name in kept}
        record = RunRecord(file, names, settings, recorded)
        try:
            yield record
        finally:
            record.close()


def _hidden(folder: Path, part: str | None, kind: str) -> Path:
    return folder / (f".fused_with.{part}.{kind}" if part else f".fused_with.{kind}")


@contextmanager
def _sole_writer(folder: Path, part: str | None) -> Iterator[None]:
    """Keeps out other runs that may write the same results."""
    busy = (
        f"{folder}: another process is writing results there: wait for it, or choose another folder (--out)"
    )
    with locked(_hidden(folder, part, "lock"), busy, _LOCK_TIMEOUT, remove=True):
        for other in _overlapping(folder, part):
            with locked(other, _busy_shard(folder, other, part) or busy, _LOCK_TIMEOUT):
                pass
        yield


def _overlapping(folder: Path, part: str | None) -> list[Path]:
    """The locks of runs with which a run shares results: of the whole folder, and of shards of another count.

    A run for the whole folder shares results with every other one.
    """
    if part is None:
        return list(folder.glob(".fused_with.*.lock"))
    whole, count = _hidden(folder, None, "lock"), _count(part)
    shards = folder.glob(".fused_with.*-of-*.lock") if count else ()
    return [*filter(Path.exists, [whole]), *(lock for lock in shards if _count(lock.stem) != count)]


def _count(part: str) -> str:
    """The number of shards in the name of a part, or of its lock without the suffix; empty if it is no shard."""
    return part.partition("-of-")[2]


def _busy_shard(folder: Path, lock: Path, part: str | None) -> str | None:
    """The message if this is the lock of a shard of another count."""
    other = lock.stem.removeprefix(".fused_with.")
    if part is None or not _count(other):
        return None
    return (
        f"{folder}: another process is writing shard {other.replace('-of-', '/')} there, which shares results with "
        f"shard {part.replace('-of-', '/')}: wait for it, or split both into the same number of shards"
    )


def _require_same(folder: Path, names: Mapping[Path, str], settings: Settings, recorded: Recorded) -> None:
    """Refuses existing files that are neither kept nor replaced; a damaged result is one that is replaced.

    Raises:
        ValueError: there are some; the message says why the first of them is not kept.
    """
    differing = {}
    for target in filter(_is_there, names):
        lines = recorded.get(names[target], [])
        made = made_as(target, lines) or (lines[-1] if lines and _damage(target) else None)
        if made is None or _compared(made.settings, settings) != _compared(settings, made.settings):
            differing[target] = _difference(made.settings, settings) if made else _unknown(folder, lines)
    if not differing:
        return
    first, difference = next(iter(differing.items()))
    if SOURCES in settings:
        raise ValueError(
            f"{first}: exists already, and {difference}: choose another name (--out), or replace it (--overwrite)"
        )
    raise ValueError(
        f"{folder}: {len(differing)} of {len(names)} results exist already, made with other or unknown settings "
        f"({first.name} {difference}): choose another folder (--out), or replace them (--overwrite)"
    )


def _unknown(folder: Path, lines: Sequence[Made]) -> str:
    """Why nothing is known of how a file was made."""
    if lines:
        return "is not the file that was written under this name"
    old = old_record(folder)
    return f"has no record of its settings{f', as {old.name} {OLD_RECORD}' if old else ''}"


def _is_there(file: Path) -> bool:
    """Whether there is something of this name, and no empty file."""
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


def _compared(settings: Settings, other: Settings) -> Settings:
    """Those that decide whether a result is kept: no name of weights, and sources only where both name them."""
    ignored = {"model", _CHOSEN_TILE} | ({SOURCES} - (settings.keys() & other.keys()))
    return {name: value for name, value in settings.items() if name not in ignored}


def _difference(made: Settings, now: Settings) -> str:
    sources = {SOURCES} & made.keys() & now.keys()
    compared = {**now, **made}.keys() - {_CHOSEN_TILE, SOURCES} | sources
    differing = [key for key in {**now, **made} if key in compared and made.get(key) != now.get(key)]
    then, today = (
        ", ".join(f"{key} {_shown(settings.get(key))}" for key in differing) for settings in (made, now)
    )
    return f"was made with {then}, now it is {today}"


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
