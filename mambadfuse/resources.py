"""The folders shipped with the kit: sample images and weights."""

from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[1]
_WHEEL = Path(__file__).resolve().parent / "_shipped"
_NAMES = ("data_samples", "weights")


def resource_folder(name: str) -> Path:
    """The shipped folder ``name``: beside the package in a checkout, inside it in an installed wheel.

    Args:
        name: "data_samples" or "weights".

    Raises:
        ValueError: the kit ships no folder of that name.
        FileNotFoundError: this installation lacks the folder; the message names the places searched.
    """
    if name not in _NAMES:
        raise ValueError(f"unknown shipped folder {name!r}: choose one of {', '.join(_NAMES)}")
    places = [_WHEEL / name, _CHECKOUT / name]
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(
        f"the folder {name!r} was found neither in {places[0]} nor in {places[1]}: "
        "install the kit again, or run it from a full checkout"
    )
