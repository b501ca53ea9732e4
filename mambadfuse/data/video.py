"""Video in and out: files, folders of frames, and cameras. Files and cameras need PyAV, the extra ``video``."""

import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from mambadfuse.data.images import FORMATS
from mambadfuse.data.pairs import is_hidden

Frame = NDArray[np.uint8 | np.uint16] | Path
"""Pixels, (H, W, 3), or (H, W) where the video is grey, of 16 bits where it has more than 8; or a file of a folder."""

CONTAINERS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov", ".avi": "avi"}
"""Suffixes of video files that can be written, and the names of their containers."""
SUFFIXES = {*CONTAINERS, ".m4v", ".webm", ".mpg", ".mpeg", ".wmv", ".ts"}
"""Suffixes of files that are taken for videos."""
FOLDER_RATE = Fraction(25)
SLOWEST, FASTEST = Fraction(1, 1000), Fraction(1000)  # frames a second that players understand
_QUALITY = "18"  # constant rate factor of H.264: visually close to the original
_UNKNOWN, _BT709, _BT601 = 2, 1, 6  # matrices between RGB and what a video stores, by their numbers in H.273
_LOWER = 576  # rows: players decode more by BT.709, and fewer by BT.601, where a file does not say


class VideoError(ValueError):
    """A video that cannot be read or written; the message names it and what is wrong."""


@dataclass
class Video:
    """Frames one after the other, each with its time.

    Attributes:
        name: of the source, for messages.
        frames: the time of each frame, in seconds from the first one, and the frame; they can be read once.
        rate: frames a second, on average.
        count: how many frames there are, estimated if the source says its duration only; None if it says neither.
        dropped: what the source has and the frames lack, a sentence each; complete once a frame has been read.
    """

    name: str
    frames: Iterator[tuple[float, Frame]]
    rate: Fraction
    count: int | None
    dropped: list[str] = field(default_factory=list)

    def at(self, rate: Fraction) -> Iterator[Frame]:
        """The frames at a constant rate: each one is shown until the next one is due, or left out.

        >>> frames = ((i / 10, np.full((2, 2), i, np.uint8)) for i in range(3))
        >>> [int(x[0, 0]) for x in Video("three", frames, Fraction(10), 3).at(Fraction(20))]
        [0, 0, 1, 1, 2, 2]
        """
        shown, end, current = 0, 0.0, None
        for time, frame in self.frames:
            for _ in range(shown, _due(time, rate)):
                assert current is not None
                yield current
                shown += 1
            current, end = frame, time + float(1 / self.rate)
        for _ in range(shown, _due(end, rate)):
            assert current is not None
            yield current


def _due(time: float, rate: Fraction) -> int:
    """How many frames are shown before that time; containers round times, by much less than a tenth of a frame."""
    return math.ceil(time * rate - 0.1)


def is_video(source: str | Path) -> bool:
    """Whether a source is a video by its suffix, or a camera by its number.

    >>> is_video("night.MP4"), is_video("0"), is_video("night.png")
    (True, True, False)
    """
    return Path(source).suffix.lower() in SUFFIXES or _is_camera(source)


@contextmanager
def open_video(source: str | Path, rate: Fraction | None = None) -> Iterator[Video]:
    """A video file, a folder of frames in the order of their names (numbers in them count), or a camera by its number.

    Args:
        source: a file or folder, or the number of a camera, "0".
        rate: of a folder of frames; 25 by default.

    Raises:
        VideoError: no such source, or it cannot be decoded; the rate is not between 0.001 and 1000; PyAV is missing.
    """
    if Path(source).is_dir():
        yield _folder(Path(source), _required_rate(rate or FOLDER_RATE, source))
        return
    if not _is_camera(source) and not Path(source).is_file():
        raise VideoError(f"{source}: no such video file or folder of frames")
    av = _pyav()
    try:
        # A relative name such as 12:30.mp4 would be taken for the address of a server.
        place = _camera(int(str(source))) if _is_camera(source) else (str(Path(source).absolute()),)
        container = av.open(*place, metadata_errors="replace")  # titles are in any encoding
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{source}: cannot be opened as a video ({error.strerror or error})") from error
    with container:
        if not container.streams.video:
            raise VideoError(f"{source}: holds no video")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        found = stream.average_rate or stream.guessed_rate
        if not found:
            raise VideoError(f"{source}: does not say its frame rate")
        rate = _required_rate(Fraction(found), source)
        dropped = [f"{source} has sound, the result has none"] if container.streams.audio else []
        if (ratio := stream.sample_aspect_ratio or 1) != 1:
            dropped.append(
                f"{source} has pixels of {ratio.numerator}:{ratio.denominator}, the result square ones"
            )
        frames = _decoded(av, container, str(source), rate, dropped)
        count = stream.frames or _frames_in(container.duration, rate)
        yield Video(str(source), frames, rate, count, dropped)


class VideoWriter:
    """Frames to an H.264 video, in an open file.

    The frames have even sides, as the format wants: the last row and column of others are repeated.

    Args:
        file: to write to.
        suffix: of its name, one of ``CONTAINERS``.
        rate: frames a second, 0.001 to 1000.

    Raises:
        VideoError: the rate is another.
    """

    def __init__(self, file: BinaryIO, suffix: str, rate: Fraction) -> None:
        self._rate = _required_rate(rate, "a video").limit_denominator(1001)  # its terms have to fit 32 bits
        self._av = _pyav()
        self._container = self._av.open(file, mode="w", format=CONTAINERS[suffix.lower()])
        self._stream: Any = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Finishes the video, so that what has been written plays; after an error, closes what there is."""
        if error:
            with suppress(self._av.FFmpegError, OSError):  # the error says what happened
                self._container.close()
            return
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Appends a frame, (H, W) or (H, W, 3), of the size of the first.

        Raises:
            VideoError: it has another size, or one that H.264 has not.
        """
        rgb = np.repeat(frame[..., None], 3, axis=2) if frame.ndim == 2 else frame
        rgb = np.pad(rgb, ((0, len(rgb) % 2), (0, rgb.shape[1] % 2), (0, 0)), mode="edge")
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate, options={"crf": _QUALITY})
            self._stream.height, self._stream.width = rgb.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.colorspace = _BT601  # by which PyAV encodes
        elif rgb.shape[:2] != (self._stream.height, self._stream.width):
            found, expected = f"{rgb.shape[1]}x{rgb.shape[0]}", f"{self._stream.width}x{self._stream.height}"
            raise VideoError(f"frame {self._count + 1} is {found}, expected {expected}, as the first one")
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        try:
            packets = self._stream.encode(picture)
        except self._av.FFmpegError as error:
            size = f"{rgb.shape[1]}x{rgb.shape[0]}"
            raise VideoError(
                f"frames of {size} pixels cannot be written as H.264 ({error.strerror})"
            ) from error
        self._container.mux(packets)
        self._count += 1


def _pyav() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise VideoError('reading and writing video needs PyAV: pip install -e ".[video]"') from error
    av.logging.set_level(None)  # errors are raised; a codec's remarks are not for the reader
    return av


def _decoded(
    av: ModuleType, container: Any, name: str, rate: Fraction, dropped: list[str]
) -> Iterator[tuple[float, Frame]]:
    number, first = 0, None
    try:
        for frame in container.decode(video=0):
            time = number / float(rate) if frame.time is None else float(frame.time)
            first = time if first is None else first
            if not number and frame.rotation:
                dropped.append(
                    f"{name} is to be shown turned by {frame.rotation} degrees, the result is not turned"
                )
            yield time - first, _pixels(frame)
            number += 1
    except av.FFmpegError as error:
        raise VideoError(f"{name}: is damaged after frame {number} ({error.strerror or error})") from error
    if not number:
        raise VideoError(f"{name}: holds no frame")


def _pixels(frame: Any) -> NDArray[np.uint8 | np.uint16]:
    """A decoded frame as an array."""
    if frame.format.name.startswith("gray"):
        return frame.to_ndarray(format="gray16le" if frame.format.components[0].bits > 8 else "gray")
    if frame.colorspace == _UNKNOWN and frame.height > _LOWER and not frame.format.is_rgb:
        frame.colorspace = _BT709
    return frame.to_ndarray(format="rgb24")


def _frames_in(duration: int | None, rate: Fraction) -> int | None:
    """How many frames a film has, by its duration in microseconds; None for cameras, which have none."""
    return round(duration * rate / 10**6) if duration and duration > 0 else None


def _required_rate(rate: Fraction, name: object) -> Fraction:
    if not SLOWEST <= rate <= FASTEST:
        limits = f"{float(SLOWEST)} to {FASTEST}"
        raise VideoError(f"{name}: expected {limits} frames a second, found {float(rate):g}")
    return rate


def _folder(folder: Path, rate: Fraction) -> Video:
    files = sorted(
        (file for file in folder.iterdir() if file.suffix.lower() in FORMATS and not is_hidden(file.name)),
        key=lambda file: (_in_order(file), file.name),
    )
    if not files:
        raise VideoError(f"{folder}: holds no image")
    frames = ((number / float(rate), file) for number, file in enumerate(files))
    return Video(str(folder), frames, rate, len(files))


def _in_order(file: Path) -> list[tuple[int, str]]:
    """Sorts frame_2 before frame_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.name)]


def _is_camera(source: str | Path) -> bool:
    return str(source).isdecimal() and not Path(source).exists()


def _camera(number: int) -> tuple[str, str, str]:
    """The arguments by which PyAV opens a camera."""
    if sys.platform.startswith("linux"):
        return f"/dev/video{number}", "r", "v4l2"
    if sys.platform == "darwin":
        return str(number), "r", "avfoundation"
    raise VideoError("a camera can be read on Linux and macOS only: give a file or a folder of frames")
