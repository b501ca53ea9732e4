"""Tasks and their two modalities, and the words by which folders and files name a modality.

This is the only list of tasks and the only table of words; every other file imports them from here.
"""

import re
from dataclasses import dataclass
from pathlib import Path

# Name of a task -> its two modalities, side a first.
TASKS = {
    "ivf": ("infrared", "visible"),
    "ct-mri": ("mri", "ct"),
    "pet-mri": ("mri", "pet"),
    "spect-mri": ("mri", "spect"),
}


@dataclass(frozen=True)
class Modality:
    """The words for one modality, in lower case; names are compared without regard to case.

    Attributes:
        title: what people call it.
        words: each is a folder's whole name, or a word in the name of a file. The first one names the folders
            that the kit makes itself.
        folders: further names of folders, which mean nothing in the name of a file.
    """

    title: str
    words: tuple[str, ...]
    folders: tuple[str, ...] = ()


# Neither is a side of any task; they are recognised in the names of files only.
NEAR_INFRARED, COMPOSITE = "near infrared", "composite"

# "dhv" and "rad" are cameras of the TNO archive, "ii" is its image intensifier, "rg" its false-colour composites.
MODALITIES = {
    "infrared": Modality(
        "infrared", ("ir", "infrared", "lwir", "thermal", "rad"), folders=("inf", "cropinfrared")
    ),
    NEAR_INFRARED: Modality("near infrared", ("nir", "ii")),
    "visible": Modality(
        "visible", ("vi", "vis", "visible", "visual", "dhv"), folders=("vi_y", "vis_y", "crop_lr_visible")
    ),
    "mri": Modality("MRI", ("mri",)),
    "ct": Modality("CT", ("ct",)),
    "pet": Modality("PET", ("pet",), folders=("pet_y",)),
    "spect": Modality("SPECT", ("spect",), folders=("spect_y",)),
    COMPOSITE: Modality("composite", ("rg",)),
}

# Word in the name of a file -> modality.
WORDS = {word: name for name, modality in MODALITIES.items() for word in modality.words}

# Name of a folder, in lower case -> modality; only the sides of tasks have folders.
FOLDERS = {
    word: name
    for name, modality in MODALITIES.items()
    if any(name in sides for sides in TASKS.values())
    for word in (*modality.words, *modality.folders)
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
        modality: a key of ``MODALITIES``; None if the name gives none.
        scene: the name without the words and letters of the modality, the same for both images of a pair.
    """

    modality: str | None
    scene: str


def read_label(name: str) -> Label:
    """What the name of a file, without its suffix, says: ``IR_lake_g`` is infrared, of the scene ``lake``.

    The first of ``WORDS`` in the name decides, except that "rg" decides wherever it stands. If there is no such word,
    the last letter decides: i or v after a digit, or r, which marks the visible channel in the TNO archive.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    letter = _LETTER.search(name)
    scene = _LETTER.sub("", _WORD.sub("", name))
    if "rg" in words:
        words = ["rg"]
    modality = WORDS[words[0]] if words else _LETTERS.get(letter[0]) if letter else None
    return Label(modality, " ".join(re.findall(r"[^\W_]+", scene)).casefold())


def modality_of(path: Path) -> str | None:
    """The modality by the name of a file or folder, or else of its parent folder; None if neither gives one."""
    for name in (path.stem, path.parent.name):
        modality = FOLDERS.get(name.lower()) or read_label(name).modality
        if modality not in (None, COMPOSITE):
            return modality
    return None


def task_of(a: str | None, b: str | None) -> str | None:
    """The task whose side a shows modality ``a`` and side b ``b``; None if there is none."""
    return next((task for task, sides in TASKS.items() if sides == (a, b)), None)


def folders_of(task: str) -> tuple[str, str]:
    """What the kit calls the folders of side a and side b: ("ir", "vi"), ("mri", "ct"), ..."""
    a, b = TASKS[task]
    return MODALITIES[a].words[0], MODALITIES[b].words[0]
