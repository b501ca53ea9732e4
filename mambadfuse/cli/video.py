"""``mambadfuse fuse`` for videos."""

import sys
from argparse import ArgumentTypeError, Namespace
from fractions import Fraction

from mambadfuse.cli.arguments import check_outputs, name_components
from mambadfuse.cli.messages import complain, say
from mambadfuse.cli.reading import reading_of

_OF_IMAGES = ("samples", "pairs_file", "shard", "slice", "align", "sheet", "tile")


def names_video(options: Namespace) -> bool:
    """Whether a side or ``--out`` is a video, or a side a camera."""
    from mambadfuse.data.video import is_video

    return any(side is not None and is_video(side) for side in (options.a, options.b)) or (
        options.out.suffix != "" and is_video(options.out)
    )


def fuse_videos(options: Namespace) -> int:
    """Fuses ``--a`` and ``--b`` into the video ``--out``; returns the exit status."""
    from mambadfuse.fusion.options import FusionOptions
    from mambadfuse.fusion.video import DEFAULT_MODEL, fuse_video

    _check_usage(options)
    name_components(options)
    model = options.model or DEFAULT_MODEL
    report = fuse_video(
        str(options.a),
        str(options.b),
        options.out,
        model,
        rate=options.rate,
        options=FusionOptions(options.colour, options.contrast, options.bits, options.reading),
        device=options.device,
        progress=sys.stderr.isatty(),
    )
    for note in report.notes:
        complain(f"note: {note}")
    if report.interrupted:
        complain(f"stopped: {options.out} holds the frames so far")
    speed = report.frames / report.seconds
    say(f"wrote {options.out}: {report.frames} frames, fused with {model} at {speed:.1f} a second")
    return 130 if report.interrupted else 0


def _check_usage(options: Namespace) -> None:
    """Stops with a usage error if the options do not go together."""
    options.reading = reading = reading_of(options)
    for name in _OF_IMAGES:
        value = getattr(options, name)
        if value is not None and value is not False:  # --slice 0 is given, too
            options.usage_error(f"--{name.replace('_', '-')} is not for videos: leave it out")
    if not (options.a and options.b):
        options.usage_error("a video needs both sides: give --a and --b")
    if options.rate and not (options.a.is_dir() or options.b.is_dir()):
        options.usage_error("--rate is that of folders of frames: a video has its own, leave it out")
    if options.bits != 8 or options.alpha != "black":
        options.usage_error("a video has 8 bits and no alpha channel: leave out --bits and --alpha")
    if any(stretch and stretch.percentiles for stretch in (reading.stretch, reading.stretch_b)):
        options.usage_error(
            "percentiles differ from frame to frame, and the video would flicker: give --stretch values"
        )
    sides = [options.a, options.b]
    check_outputs(
        options,
        results=[options.out],
        sources=[*sides, options.model],
        folders=[side for side in sides if side.is_dir()],
    )
    if options.out.is_file() and not options.overwrite:
        options.usage_error(f"{options.out}: exists already; --overwrite replaces it")


def frame_rate(text: str) -> Fraction:
    """Frames a second, such as 25, 29.97 or 30000/1001.

    Raises:
        ArgumentTypeError: it is no number, or not between 0.001 and 1000.
    """
    from mambadfuse.data.video import FASTEST, SLOWEST

    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not SLOWEST <= rate <= FASTEST:
        raise ArgumentTypeError(
            f"expected frames a second, such as 25 or 30000/1001, at most {FASTEST}, found {text!r}"
        )
    return rate
