"""``mambadfuse data``: the data sets of the catalogue, and what is wrong with a folder of pairs."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mambadfuse.cli.messages import say
from mambadfuse.cli.pairs import PAIRS_FILE

SUMMARY = "list and download data sets, check a folder of pairs"


def add_options(parser: ArgumentParser) -> None:
    """Declares the four actions and their options."""
    actions = parser.add_subparsers(required=True, metavar="action")

    action = actions.add_parser("list", help="all data sets, or everything known of one")
    action.add_argument("name", nargs="?", metavar="NAME", help="of one data set; default all")
    action.set_defaults(act=_list)

    action = actions.add_parser(
        "get", help="download a data set and verify every file; repeat to fetch missing files"
    )
    action.add_argument("name", metavar="NAME", help="of a data set, see data list")
    action.add_argument("--split", metavar="NAME", help="only this split, such as train")
    action.set_defaults(act=_get)

    action = actions.add_parser("check", help="list everything that is wrong with a folder of pairs")
    action.add_argument(
        "path",
        type=Path,
        nargs="?",
        metavar="PATH",
        help="folder that holds both sides, in the layout of any common data set",
    )
    action.add_argument("--pairs-file", type=Path, metavar="CSV", help=f"instead: {PAIRS_FILE}")
    action.add_argument(
        "--as", dest="name", metavar="NAME", help="compare with this data set of the catalogue"
    )
    action.add_argument("--decode", action="store_true", help="decode every image, not only its header")
    action.set_defaults(act=_check)

    action = actions.add_parser("where", help="print the folder of downloads")
    action.set_defaults(act=_where)


def run(options: Namespace) -> int:
    """Runs the chosen action."""
    return options.act(options)


def _list(options: Namespace) -> int:
    from mambadfuse.data import catalogue

    say(catalogue.describe(options.name))
    return 0


def _get(options: Namespace) -> int:
    from mambadfuse.data import download

    say(download.get(options.name, options.split))
    return 0


def _check(options: Namespace) -> int:
    from mambadfuse.alignment import shift_remark
    from mambadfuse.data import checking

    if bool(options.path) == bool(options.pairs_file):
        options.usage_error("give a folder, or --pairs-file")
    report = checking.check(options.path or options.pairs_file, options.name, options.decode, shift_remark)
    say(report)
    return 0 if report.ok else 1


def _where(options: Namespace) -> int:
    from mambadfuse.data import download

    say(download.where())
    return 0
