"""Fusing videos, frame by frame."""

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from mambadfuse.data.video import CONTAINERS, Frame, Video, VideoError, VideoWriter, open_video
from mambadfuse.files import atomic_write, make_folder, require_apart
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.pair import Model, fuse_with, load_model
from mambadfuse.models.fast import FastFusion

DEFAULT_MODEL = "ivf-fast"


@dataclass(frozen=True)
class VideoReport:
    """What has been written.

    Attributes:
        frames: how many fused frames.
        rate: frames a second of the result.
        seconds: how long fusing took, decoding and encoding included.
        notes: what differs between the two sides, and what of them the result lacks, a sentence each.
        interrupted: whether Ctrl-C ended it; the frames until then are there.
    """

    frames: int
    rate: Fraction
    seconds: float
    notes: tuple[str, ...]
    interrupted: bool


def fuse_video(
    a: str | Path,
    b: str | Path,
    out: str | Path,
    model: Model | None = None,
    *,
    rate: Fraction | None = None,
    options: FusionOptions | None = None,
    device: str = "auto",
    progress: bool = True,
) -> VideoReport:
    """Fuses two videos of one scene that begin at the same moment into one.

    Frames are paired by their times, also where a rate varies, as that of telephones does. The result has the higher of
    the two mean rates, and the slower side shows each of its frames until the next one is due. The result ends where
    the shorter side does. The file appears when it is complete, or with the frames so far after Ctrl-C. Sound is left
    out, and no frame is turned, whatever the files ask for. A fast network fuses as
    :meth:`~mambadfuse.models.fast.FastFusion.for_video` says.

    Args:
        a: infrared side: a video file, a folder of frames, or a camera by its number, "0".
        b: visible side, in the same form.
        out: the video to write, ``*.mp4``, ``*.mkv``, ``*.mov`` or ``*.avi``, in H.264.
        model: as in :func:`mambadfuse.fuse`; None is "ivf-fast".
        rate: frames a second of folders of frames; 25 by default.
        options: of fusing each pair of frames.
        device: as there.
        progress: whether to show a progress bar.

    Raises:
        VideoError: a side cannot be read, or ``out`` has another suffix or is a folder.
        ValueError: the sides are the same, or differ in size; ``out`` would replace a source, or lie in a folder of
            frames.
        CheckpointError: the weights cannot be loaded.
        OSError: the result cannot be written.
        KeyboardInterrupt: after Ctrl-C before there was a frame.
    """
    out = Path(out)
    if out.suffix.lower() not in CONTAINERS:
        raise VideoError(f"{out}: expected a name that ends in {', '.join(CONTAINERS)}")
    if out.is_dir():
        raise VideoError(f"{out}: is a folder, expected the name of a video")
    sides = Path(a), Path(b)
    if str(a) == str(b) or (sides[0].exists() and sides[1].exists() and sides[0].samefile(sides[1])):
        raise ValueError(f"{a} and {b} are the same video")
    require_apart(
        [out], [side for side in sides if side.is_file()], [side for side in sides if side.is_dir()]
    )
    network = load_model(DEFAULT_MODEL if model is None else model, device)
    if isinstance(network, FastFusion):
        network = network.for_video()
    with ExitStack() as stack:
        videos = [stack.enter_context(open_video(side, rate)) for side in (a, b)]
        result_rate = max(video.rate for video in videos)
        pairs = zip(*(video.at(result_rate) for video in videos), strict=False)
        bar = stack.enter_context(
            tqdm(pairs, total=_expected(videos, result_rate), unit="frame", disable=not progress)
        )
        images = _fused(bar, network, options or FusionOptions())
        started = time.perf_counter()
        first = next(images, None)
        if first is None:
            raise VideoError(f"{out}: not written, no pair of frames was fused")
        make_folder(out.parent)
        file = stack.enter_context(atomic_write(out))
        writer = stack.enter_context(VideoWriter(file, out.suffix, result_rate))
        frames, interrupted = 0, False
        try:
            for image in chain([first], images):
                with _uninterrupted():  # else a part of the frame is lost, and with it what follows
                    writer.write(image)
                    frames += 1
        except KeyboardInterrupt:
            if not frames:
                raise
            interrupted = True
    return VideoReport(frames, result_rate, time.perf_counter() - started, _notes(videos), interrupted)


def _fused(
    pairs: Iterable[tuple[Frame, Frame]], network: nn.Module, options: FusionOptions
) -> Iterator[NDArray[Any]]:
    for number, (a, b) in enumerate(pairs):
        # If memory is too small, all frames are fused in the tiles of the first.
        image, network = fuse_with(network, a, b, options, warn=not number)
        yield np.asarray(image)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits for the end of the block; where it raises no KeyboardInterrupt, as under nohup, nothing changes."""
    in_main = threading.current_thread() is threading.main_thread()  # no other thread is interrupted
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    stops: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: stops.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if stops:
        raise KeyboardInterrupt


def _expected(sides: list[Video], rate: Fraction) -> int | None:
    """How many frames the result will have; None if a side does not say."""
    counts = [int(side.count * rate / side.rate) for side in sides if side.count is not None]
    return min(counts) if len(counts) == len(sides) else None


def _notes(sides: list[Video]) -> tuple[str, ...]:
    a, b = sides
    notes = []
    if a.rate != b.rate:
        slower, faster = sorted(sides, key=lambda side: side.rate)
        notes.append(
            f"{slower.name} has {float(slower.rate):.4g} frames a second and {faster.name} {float(faster.rate):.4g}: "
            "each of its frames is shown until the next one is due"
        )
    lengths = [side.count / side.rate for side in sides if side.count is not None]
    if len(lengths) == len(sides) and abs(lengths[0] - lengths[1]) > 1 / min(a.rate, b.rate):
        shorter = min(sides, key=lambda side: (side.count or 0) / side.rate)
        notes.append(
            f"{a.name} lasts {float(lengths[0]):.4g} s and {b.name} {float(lengths[1]):.4g} s: "
            f"the result ends with {shorter.name}"
        )
    return (*notes, *a.dropped, *b.dropped)
