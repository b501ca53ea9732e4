"""Which results are kept: those made with the same settings, intact, and newer than their sources."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from PIL import Image
from torch import nn

from mambadfuse.components import imported_digests
from mambadfuse.data.images import WRITTEN
from mambadfuse.data.record import SOURCES, Recorded, read_record
from mambadfuse.files import atomic_write, make_folder
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.tiling import TiledModel
from mambadfuse.locks import locked
from mambadfuse.models.checkpoints import weights_digest
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.source_code import own_files

MANIFEST = ".fused_with.json"
_CHOSEN_TILE = "chosen_tile"
_LOCK_TIMEOUT = 1.0  # seconds; others hold a lock for a moment while they see whether it is free

Settings = dict[str, str | int | float | list[str] | None]
RecordTile = Callable[[str, int], None]


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
    if result.suffix.lower() in WRITTEN:
        try:
            with Image.open(result) as image:
                image.verify()
        except Exception as error:  # decoders meet broken data with almost any exception
            return f"was damaged ({error})"
    newer = (source for source in sources if source.exists() and source.stat().st_mtime_ns > made.st_mtime_ns)
    return next((f"was older than {source}" for source in newer), None)


def manifest(
    folder: Path,
    names: Sequence[str],
    settings: Settings,
    overwrite: bool,
    shard: tuple[int, int] | None = None,
) -> AbstractContextManager[RecordTile]:
    """As :func:`recording`, for the results ``folder/<name>.png``.

    Args:
        folder: of the results.
        names: of the results that the run is to write.
        settings: of the run.
        overwrite: whether the run replaces existing results.
        shard: which part of how many parts of all results these are; each part has a manifest of its own.
    """
    targets = {name: folder / f"{name}.png" for name in names}
    return recording(folder, targets, settings, overwrite, "{}-of-{}".format(*shard) if shard else None)


def manifest_of_pair(
    targets: Sequence[Path], sources: Iterable[Path], settings: Settings, overwrite: bool
) -> AbstractContextManager[RecordTile]:
    """As :func:`recording`, for what is made of a single pair, which also records its sources.

    Args:
        targets: the file of the result, recorded as in a folder of results, and files that are written beside it.
        sources: the two images of the pair.
        settings: of the run.
        overwrite: whether the run replaces existing files.
    """
    result, *others = targets
    names = {result.name.removesuffix(".png"): result} | {str(file.resolve()): file for file in others}
    # Not where a link leads: what counts is the folder in which the source was found.
    sources = [source.parent.resolve() / source.name for source in sources]
    settings = {**settings, SOURCES: [source.as_posix() for source in sources]}
    digest = hashlib.sha256(os.fsencode(result.name)).hexdigest()[:12]
    return recording(result.parent, names, settings, overwrite, digest)


@contextmanager
def recording(
    folder: Path, targets: Mapping[str, Path], settings: Settings, overwrite: bool, part: str | None = None
) -> Iterator[RecordTile]:
    """Wraps a run that writes results, and records the settings of each one that it writes.

    It yields a function that the run calls with name and tile side of each result that memory was too small to make in
    one piece, just before it is written. The side is recorded as ``chosen_tile``, but not compared.

    The manifest is written at the start, so that a killed run can be resumed; results that were not made are removed
    from it at the end. Results that an interrupted ``overwrite`` did not reach are no longer recorded.

    Args:
        folder: that holds the manifest.
        targets: the results that the run is to write, by the names under which they are recorded.
        settings: of the run.
        overwrite: whether the run replaces existing results.
        part: the name of a manifest for these results alone, since several processes may write into one folder at once;
            of two manifests that record one result, the newer one counts. None for the manifest of the folder.

    Raises:
        ValueError: without ``overwrite``, if a result exists that is not recorded with these settings.
        BusyError: another process is writing these results.
        OSError: the folder cannot be created or written to.
    """
    make_folder(folder)
    with (
        _sole_writer(folder, part),
        _recording(folder, targets, settings, overwrite, _hidden(folder, part, "json")) as record_tile,
    ):
        yield record_tile


def _hidden(folder: Path, part: str | None, kind: str) -> Path:
    return folder / (f".fused_with.{part}.{kind}" if part else f".fused_with.{kind}")


@contextmanager
def _sole_writer(folder: Path, part: str | None) -> Iterator[None]:
    """Keeps out other runs that write the same results: of this part or the whole folder; of any part for a folder."""
    busy = (
        f"{folder}: another process is writing results there: wait for it, or choose another folder (--out)"
    )
    own = _hidden(folder, part, "lock")
    with locked(own, busy, _LOCK_TIMEOUT):
        try:
            others = [_hidden(folder, None, "lock")] if part else folder.glob(".fused_with.*.lock")
            for other in filter(Path.exists, others):
                with locked(other, busy, _LOCK_TIMEOUT):
                    pass
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file
                own.unlink(missing_ok=True)


@contextmanager
def _recording(
    folder: Path, targets: Mapping[str, Path], settings: Settings, overwrite: bool, record: Path
) -> Iterator[RecordTile]:
    recorded = read_record(folder)
    existing = {name: stamp for name, file in targets.items() if (stamp := _stamp(file))}
    differing = [name for name in existing if not _same_values(recorded.get(name), settings)]
    if differing and not overwrite:
        raise ValueError(_refusal(folder, targets, differing, recorded.get(differing[0]), settings))
    if record.name != MANIFEST:
        recorded = {name: recorded.get(name) for name in targets}
    recorded |= dict.fromkeys(differing) | {name: settings for name in targets if name not in existing}
    _write(record, recorded)
    tiled: Recorded = {}

    def record_tile(name: str, tile: int) -> None:
        tiled[name] = {**settings, _CHOSEN_TILE: tile}
        _write(record, recorded | tiled)

    try:
        yield record_tile
    finally:
        stamps = {name: _stamp(target) for name, target in targets.items()}
        written = [name for name, stamp in stamps.items() if stamp not in (None, existing.get(name))]
        recorded |= {name: tiled.get(name, settings) for name in written}
        made = {name: of for name, of in recorded.items() if stamps.get(name, True)}
        if made:
            _write(record, made)
        else:
            record.unlink(missing_ok=True)


def _refusal(
    folder: Path, targets: Mapping[str, Path], differing: Sequence[str], made: Settings | None, now: Settings
) -> str:
    """That results are neither kept nor replaced, and why the first of them is not."""
    first, difference = targets[differing[0]], _difference(made, now)
    if SOURCES in now:
        return f"{first}: exists already, and {difference}: choose another name (--out), or replace it (--overwrite)"
    return (
        f"{folder}: {len(differing)} of {len(targets)} results exist already, made with other or unknown settings "
        f"({first.name} {difference}): choose another folder (--out), or replace them (--overwrite)"
    )


def _same_values(made: Settings | None, now: Settings) -> bool:
    """Whether both mean the same weights and options; the name of the weights does not matter, their digest does."""
    return made is not None and _compared(made, now) == _compared(now, made)


def _compared(settings: Settings, other: Settings) -> Settings:
    """Those that decide whether a result is kept; the sources only where both name them."""
    ignored = {"model", _CHOSEN_TILE} | ({SOURCES} - (settings.keys() & other.keys()))
    return {name: value for name, value in settings.items() if name not in ignored}


def _stamp(file: Path) -> tuple[int, int] | None:
    """Time and inode of a result, which change when it is written again; None if there is none, or an empty file."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_ino) if stat.st_size else None


def _difference(made: Settings | None, now: Settings) -> str:
    if made is None:
        return "has no record of its settings"
    sources = {SOURCES} & made.keys() & now.keys()
    compared = {**now, **made}.keys() - {_CHOSEN_TILE, SOURCES} | sources
    differing = [key for key in {**now, **made} if key in compared and made.get(key) != now.get(key)]
    then, today = (
        ", ".join(f"{key} {_shown(settings.get(key))}" for key in differing) for settings in (made, now)
    )
    return f"was made with {then}, now it is {today}"


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _write(file: Path, recorded: Recorded) -> None:
    make_folder(file.parent)
    with atomic_write(file) as opened:
        opened.write(json.dumps(recorded, indent=0).encode())
