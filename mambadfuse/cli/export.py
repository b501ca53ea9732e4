"""``mambadfuse export``: a network as a file that runs without this package."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mambadfuse.cli.arguments import add_component_option, check_outputs, name_components
from mambadfuse.cli.messages import say

SUMMARY = "write a network as an ONNX file, or as a program of torch.export"


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--format",
        choices=("onnx", "torch"),
        default="onnx",
        help="onnx (the default), or torch for a program that torch.export.load reads",
    )
    parser.add_argument(
        "--model", metavar="NAME|FILE", default="ivf", help="shipped weights, or a file; default ivf"
    )
    add_component_option(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", required=True, help="file to write: .onnx or .pt2"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")


def run(options: Namespace) -> int:
    """Exports one network."""
    check_outputs(options, results=[options.out], sources=[options.model])
    suffix = {"onnx": ".onnx", "torch": ".pt2"}[options.format]
    if options.out.suffix.lower() != suffix:
        options.usage_error(f"--out {options.out}: expected the name of a {suffix} file")
    if options.out.is_dir():
        options.usage_error(f"--out {options.out}: is a folder, expected the name of a file")
    if options.out.exists() and not options.overwrite:
        raise FileExistsError(f"{options.out}: is there already (--overwrite replaces it)")
    name_components(options)

    from mambadfuse.files import made_folder
    from mambadfuse.models.export import export

    with made_folder(options.out.parent):
        found = export(options.model, options.out, options.format)
    say(f"wrote {found.path}: {found.size / 1e6:.1f} MB, exported in {found.seconds:.0f} s")
    for height, width, difference, seconds in found.comparisons:
        say(f"{width} x {height}: differs from the network by at most {difference:.1g}, {seconds:.2f} s")
    if not found.comparisons:
        say('not compared with the network, since ONNX Runtime is missing: pip install -e ".[onnx]"')
    return 0
