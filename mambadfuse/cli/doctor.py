"""``mambadfuse doctor``: reports what works on this machine, and how to get the rest."""

from argparse import ArgumentParser, Namespace

SUMMARY = "report what works on this machine, and how to get the rest"


def add_options(parser: ArgumentParser) -> None:
    """Adds nothing: the command has no options."""


def run(options: Namespace) -> int:
    """Prints the report; returns 1 if something needed is missing."""
    from mambadfuse import doctor

    text, healthy = doctor.report()
    print(text)
    return 0 if healthy else 1
