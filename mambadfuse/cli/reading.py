"""The options by which a command is told how to read the images of a pair, the same for every command."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mambadfuse.data.reading import PairReading


def add_reading(parser: ArgumentParser, resize: bool = True) -> None:
    """Declares --stretch, --stretch-b, --stretch-each, --alpha and, where sizes have to agree, --resize."""
    for option, side in (("--stretch", "a"), ("--stretch-b", "b")):
        parser.add_argument(
            option,
            nargs=2,
            metavar=("LOW", "HIGH"),
            help=f"values of side {side} that become black and white, or percentiles: 1%% 99%%",
        )
    parser.add_argument(
        "--stretch-each", action="store_true", help="percentiles of each image, not of the whole folder"
    )
    if resize:
        parser.add_argument("--resize", choices=("a", "b"), help="resize this side to the size of the other")
    else:
        parser.set_defaults(resize=None)
    parser.add_argument(
        "--alpha",
        choices=("black", "ignore", "a"),
        default="black",
        help="alpha channel: lay the image on black, leave it out, or take it as side a, from the only folder or file",
    )


def reading_arguments(options: Namespace) -> dict[str, Any]:
    """The same options as arguments of :func:`mambadfuse.evaluate_folders`."""
    return {
        name: getattr(options, name) for name in ("stretch", "stretch_b", "stretch_each", "resize", "alpha")
    }


def reading_of(options: Namespace) -> "PairReading":
    """How the options read a pair; a usage error if that is unknown."""
    from mambadfuse.data.reading import PairReading

    try:
        return PairReading.of(options.stretch, options.stretch_b, options.resize, options.alpha)
    except ValueError as error:
        options.usage_error(str(error))
        raise
