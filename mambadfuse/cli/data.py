"""``mambadfuse data``: the data sets the kit knows by name, and what is wrong with a folder of pairs."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

SUMMARY = "list and download data sets, check a folder of pairs"


def add_options(parser: ArgumentParser) -> None:
    """Declares the four actions and their options."""
    actions = parser.add_subparsers(required=True, metavar="action")

    action = actions.add_parser("list", help="all data sets, or all that is known of one")
    action.add_argument("name", nargs="?", metavar="NAME", help="one data set; all if left out")
    action.set_defaults(act=_list)

    action = actions.add_parser(
        "get", help="download a data set, every file verified; goes on with the files still missing"
    )
    action.add_argument("name", metavar="NAME", help="one that can be downloaded, see data list")
    action.add_argument("--split", metavar="NAME", help="one split alone, for example train")
    action.set_defaults(act=_get)

    action = actions.add_parser("check", help="list everything that is wrong with a folder of pairs")
    action.add_argument(
        "path", type=Path, metavar="PATH", help="folder that both sides lie in, in any layout of the field"
    )
    action.add_argument("--as", dest="name", metavar="NAME", help="the data set that it must be")
    action.add_argument("--decode", action="store_true", help="decode every picture, not only its header")
    action.set_defaults(act=_check)

    action = actions.add_parser("where", help="the folder that downloads go to")
    action.set_defaults(act=_where)


def run(options: Namespace) -> int:
    """Runs the chosen action."""
    return options.act(options)


def _list(options: Namespace) -> int:
    from mambadfuse.data import catalogue

    print(catalogue.describe(options.name))
    return 0


def _get(options: Namespace) -> int:
    from mambadfuse.data import download

    print(download.get(options.name, options.split))
    return 0


def _check(options: Namespace) -> int:
    from mambadfuse.data import checking

    report = checking.check(options.path, options.name, options.decode)
    print(report)
    return 0 if report.ok else 1


def _where(options: Namespace) -> int:
    from mambadfuse.data import download

    print(download.where())
    return 0
