"""Modalities: what the name of a folder, or of a file, says its pictures show."""

import re
from dataclasses import dataclass
from pathlib import Path

NEAR_INFRARED, COMPOSITE = "near infrared", "composite"  # what only files are called

# Names of folders, compared without regard to case.
FOLDERS = {
    "ir": "infrared", "inf": "infrared", "infrared": "infrared", "cropinfrared": "infrared", "lwir": "infrared",
    "thermal": "infrared", "rad": "infrared",
    "vi": "visible", "vi_y": "visible", "vis": "visible", "vis_y": "visible", "visible": "visible",
    "crop_lr_visible": "visible", "visual": "visible", "dhv": "visible",
    "mri": "mri",
    "ct": "ct",
    "pet": "pet", "pet_y": "pet",
    "spect": "spect", "spect_y": "spect",
}  # fmt: skip

# Words in the names of files. "dhv" and "rad" are cameras of the TNO archive, "ii" is its image intensifier.
WORDS = {
    "ir": "infrared", "infrared": "infrared", "lwir": "infrared", "thermal": "infrared", "rad": "infrared",
    "nir": NEAR_INFRARED, "ii": NEAR_INFRARED,
    "vi": "visible", "vis": "visible", "visible": "visible", "visual": "visible", "dhv": "visible",
    "mri": "mri",
    "ct": "ct",
    "pet": "pet",
    "spect": "spect",
    "rg": COMPOSITE,
}  # fmt: skip

# The task of two modalities, side a first.
TASKS = {
    ("infrared", "visible"): "ivf",
    ("mri", "ct"): "ct-mri",
    ("mri", "pet"): "pet-mri",
    ("mri", "spect"): "spect-mri",
}

# A word stands by itself: the letters beside it, if any, are of the other case, as in TankLWIR or RADheli0.
_WORD = re.compile(
    "|".join(
        rf"(?<![A-Za-z]){word}(?![a-z])|(?<![A-Z]){word.upper()}(?![A-Z])|{word.title()}(?![a-z])"
        for word in WORDS
    )
)
_LETTERS = {"i": "infrared", "v": "visible", "r": "visible"}  # 1800i, 1800v, bunker_r
_LETTER = re.compile(r"(?<=\d)[iv]$|(?<=[\d_-])[RGBrgb]$")


@dataclass(frozen=True)
class Label:
    """What the name of a file says.

    Attributes:
        modality: one of those in ``TASKS``, ``NEAR_INFRARED`` or ``COMPOSITE``; None if nothing is said.
        scene: the name without the words and letters that tell, the same for both pictures of a pair.
    """

    modality: str | None
    scene: str


def read_label(name: str) -> Label:
    """What the name of a file, without its suffix, says: ``IR_lake_g`` is infrared, of the scene ``lake``.

    The first of ``WORDS`` in it counts, but "rg" wherever it is: the archive of TNO calls false-colour composites so.
    Without any word a last letter counts: i or v behind a digit, or r, in that archive the visible channel.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    letter = _LETTER.search(name)
    scene = _LETTER.sub("", _WORD.sub("", name))
    if "rg" in words:
        words = ["rg"]
    modality = WORDS[words[0]] if words else _LETTERS.get(letter[0]) if letter else None
    return Label(modality, " ".join(re.findall(r"[^\W_]+", scene)).casefold())


def modality_of(path: Path) -> str | None:
    """What the name of a file or folder, or else of the folder it lies in, says that it shows; None if nothing."""
    for name in (path.stem, path.parent.name):
        modality = FOLDERS.get(name.lower()) or read_label(name).modality
        if modality not in (None, COMPOSITE):
            return modality
    return None
