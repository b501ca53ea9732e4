"""``mambadfuse fuse`` for videos."""

from argparse import Namespace
from fractions import Fraction
from typing import TYPE_CHECKING

from mambadfuse.cli.messages import complain, say

if TYPE_CHECKING:
    from mambadfuse.fusion.options import FusionOptions


def fuse_videos(options: Namespace, fusion: "FusionOptions") -> int:
    """Fuses ``--a`` and ``--b`` into the video ``--out``; returns the exit status."""
    from mambadfuse.fusion.video import DEFAULT_MODEL, fuse_video

    model = options.model or DEFAULT_MODEL
    report = fuse_video(
        options.a, options.b, options.out, model, rate=options.rate, options=fusion, device=options.device
    )
    for note in report.notes:
        complain(f"note: {note}")
    if report.interrupted:
        complain(f"stopped; {options.out} holds the frames so far")
    speed = report.frames / report.seconds
    say(f"{report.frames} frames fused with {model} at {speed:.1f} a second; wrote {options.out}")
    return 130 if report.interrupted else 0


def frame_rate(text: str) -> Fraction:
    """Frames a second, such as 25, 29.97 or 30000/1001.

    Raises:
        ValueError: it is not a positive number.
    """
    rate = Fraction(text)
    if rate <= 0:
        raise ValueError(f"{text}: expected a positive number of frames a second")
    return rate
