"""``mambadfuse doctor``: what works on this machine, and how to get the rest."""

from argparse import ArgumentParser, Namespace

SUMMARY = "say what works on this machine, and how to get the rest"


def add_options(parser: ArgumentParser) -> None:
    """There are none."""


def run(options: Namespace) -> int:
    """Prints the report; 1 if something needed is missing."""
    from mambadfuse import doctor

    text, healthy = doctor.report()
    print(text)
    return 0 if healthy else 1
