"""Tasks and their two modalities, and the words by which folders and files name a modality.

This is the only list of tasks and the only table of words; every other file imports them from here.
"""

import re
import unicodedata
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
        hints: words in the names of files that could also mean something else, as the T of a drone's DJI_0001_T. They
            count only where reading them gives pairs.
    """

    title: str
    words: tuple[str, ...]
    folders: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


# Neither is a side of any task; they are recognised in the names of files only.
NEAR_INFRARED, COMPOSITE = "near infrared", "composite"

# "dhv" and "rad" are cameras of the TNO archive, "ii" is its image intensifier, "rg" its false-colour composites.
# Drones mark thermal images by T, THRM or IRX and those of their wide, visible and zoom cameras by W, V and Z.
# "co" is VEDAI's colour, "fir" CVC-14's far infrared, "previewdata" FLIR's thermal image, "dc" its digital camera;
# "trainimgr" and "trainimg" are DroneVehicle's folders.
MODALITIES = {
    "infrared": Modality(
        "infrared",
        ("ir", "infrared", "lwir", "mwir", "thermal", "rad", "红外", "热红外", "热成像", "tir", "fir", "infrarot",
         "infrarouge", "infrarrojo", "infrarosso", "thermique", "热像", "赤外", "赤外線", "遠赤外", "적외선", "열화상",
         "infra-red", "infra_red", "紅外", "熱紅外", "熱成像", "熱像", "wärmebild", "térmica", "инфракрасный"),
        folders=("inf", "cropinfrared", "flir", "trainimgr", "valimgr", "testimgr"),
        hints=("t", "flir", "inf", "infra", "therm", "thermo", "thrm", "irx", "heat", "previewdata",
               "th", "thm", "irt", "hot", "heatmap", "thermogram", "thermografie", "thermographie", "termica",
               "termico", "térmico", "ик", "тепло", "тепловизор"),
    ),
    NEAR_INFRARED: Modality(
        "near infrared",
        ("nir", "ii", "swir", "near-infrared", "near_infrared", "近红外", "近赤外", "近紅外"),
    ),
    "visible": Modality(
        "visible",
        ("vi", "vis", "visible", "visual", "dhv", "optical", "eo", "可见光", "可见", "可視", "可視光", "가시광",
         "可見光", "可見", "sichtbar", "видимый"),
        folders=("vi_y", "vis_y", "crop_lr_visible", "rgb", "trainimg", "valimg", "testimg"),
        hints=("w", "v", "z", "c", "rgb", "color", "colour", "co", "gray", "grey", "wide", "zoom", "opt", "optic",
               "tv", "ccd", "dc", "彩色", "白光", "vl", "bw", "pan", "photo", "daylight", "farbe", "couleur", "цвет"),
    ),
    "mri": Modality(
        "MRI",
        ("mri",),
        folders=("mr", "t1", "t2"),
        hints=("mr", "t1", "t2", "t1w", "t2w", "pd", "flair", "t1c", "t1ce", "t1gd", "t1n", "t2f", "gad", "dwi", "adc",
               "mrt", "irm", "mrt1", "mrt2", "磁共振", "核磁共振", "核磁"),
    ),
    "ct": Modality("CT", ("ct",), hints=("ncct", "cect", "cbct")),
    "pet": Modality("PET", ("pet",), folders=("pet_y", "fdg"), hints=("fdg",)),
    "spect": Modality("SPECT", ("spect",), folders=("spect_y",), hints=("tc", "tl", "tc99m")),
    COMPOSITE: Modality("composite", ("rg",)),
}  # fmt: skip

# Words beside that for a side which say neither a side nor a scene: thermal_8_bit, rgb_images, 1_thermal_radiometric.
_NEUTRAL = {"image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "frame", "frames",
            "bit", "bits", "8", "16", "8bit", "16bit", "light", "radiometric", "raw"}  # fmt: skip
_NUMBERS = {"8", "16"}  # in the name of a file they may number a scene
_NEUTRAL_SIGNS = re.compile("图像|图片|影像|圖像|圖片|画像|이미지|图")  # written without spaces

SPLITS = {
    "train": "train", "trainsets": "train",
    "val": "val", "valid": "val", "validation": "val", "valsets": "val",
    "test": "test", "testsets": "test",
}  # fmt: skip

# Word in the name of a file -> modality.
WORDS = {word: name for name, modality in MODALITIES.items() for word in modality.words}

# The same for words that could also mean something else.
HINTS = {hint: name for name, modality in MODALITIES.items() for hint in modality.hints}

# Name of a folder, in lower case -> modality; only the sides of tasks have folders.
FOLDERS = {
    word: name
    for name, modality in MODALITIES.items()
    if any(name in sides for sides in TASKS.values())
    for word in (*modality.words, *modality.folders)
}


def _pattern(word: str) -> str:
    """A word that stands by itself: letters beside it, if any, are of the other case, as in TankLWIR or RADheli0."""
    if not word.isascii():
        letters = word.lower() != word.upper()  # Chinese has no case, and is written without spaces
        return rf"(?<![^\W\d_])(?i:{word})(?![^\W\d_])" if letters else word
    return (
        rf"(?<![A-Za-z]){word}(?![a-z])|(?<![A-Z]){word.upper()}(?![A-Z])|{word.title()}(?![a-z])|"
        rf"(?<![^\W\d_])(?i:{word})(?![^\W\d_])"
    )


# Of two words that begin alike the longer one comes first.
_WORD = re.compile("|".join(map(_pattern, sorted(WORDS, key=len, reverse=True))))
# A hint is set off on both sides, by a separator or by the end of the name; a longer one may touch a digit.
_HINT = re.compile(
    "|".join(
        rf"(?<![^\W_]){hint}(?![^\W_])"
        if len(hint) == 1 or hint[-1].isdigit()
        else rf"(?<![^\W\d_]){hint}(?![^\W\d_])"
        for hint in sorted(HINTS, key=len, reverse=True)
    ),
    re.IGNORECASE,
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


def read_label(name: str, hints: bool = False) -> Label:
    """What the name of a file, without its suffix, says: ``IR_lake_g`` is infrared, of the scene ``lake``.

    The first of ``WORDS`` in the name decides, except that "rg" decides wherever it stands. If there is no such word,
    the last letter decides: i or v after a digit, or r, which marks the visible channel in the TNO archive.

    >>> read_label("DJI_0001_T").modality, read_label("DJI_0001_T", hints=True).modality
    (None, 'infrared')
    >>> read_label("07-SPECT-Tc", hints=True)
    Label(modality='spect', scene='07')

    Args:
        name: of the file.
        hints: whether ``HINTS`` count as well: the last decides where nothing else does, as in ``FLIR_1_RGB``, and
            then none of them is part of the scene; else those of the same modality are not. Beside a modality,
            words for images, as in ``1_thermal_radiometric``, are not part of the scene either.
    """
    name = unicodedata.normalize("NFC", name)
    words = [word.lower() for word in _WORD.findall(name)]
    letter = _LETTER.search(name)
    scene = _LETTER.sub("", _WORD.sub("", name))
    if "rg" in words:
        words = ["rg"]
    modality = WORDS[words[0]] if words else _LETTERS.get(letter[0]) if letter else None
    if hints:
        said = [HINTS[hint.lower()] for hint in _HINT.findall(scene)]
        meant = {modality} if modality else set(said)
        modality = modality or next(reversed(said), None)
        scene = _HINT.sub(lambda hint: "" if HINTS[hint[0].lower()] in meant else hint[0], scene)
    scene_words = re.findall(r"[^\W_]+", scene.casefold())
    if hints and modality:
        signs = (_NEUTRAL_SIGNS.sub("", word) for word in scene_words)
        scene_words = [word for word in signs if word and word not in _NEUTRAL - _NUMBERS]
    return Label(modality, " ".join(scene_words))


def modality_of(path: Path, hints: bool = False) -> str | None:
    """The modality by the name of a file or folder, or else of its parent folder; None if neither gives one.

    Args:
        path: of the file or folder.
        hints: whether ``HINTS`` in its own name count, where neither name has a word.
    """
    for name in (path.stem, path.parent.name):
        modality = FOLDERS.get(name.lower()) or read_label(name).modality
        if modality not in (None, COMPOSITE):
            return modality
    return read_label(path.stem, hints=True).modality if hints else None


def modality_of_folder(name: str) -> str | None:
    """The modality whose images a folder of this name holds: ``ir``, ``PET_Y``, ``MR-T2``; None if it says none.

    Nothing but words for that modality may be in the name, and signs for images, as in ``红外图像``: ``PET-MRI`` and
    ``ir_results`` say none.
    """
    return read_folder_label(name).modality


def read_folder_label(name: str, hints: bool = False) -> Label:
    """What the name of a folder says; the scene is the name of a split, if there is one: ``train``.

    >>> read_folder_label("trainimgr"), read_folder_label("images_rgb_val", hints=True)
    (Label(modality='infrared', scene='train'), Label(modality='visible', scene='val'))
    >>> read_folder_label("T").modality, read_folder_label("T", hints=True).modality
    (None, 'infrared')

    Args:
        name: of the folder.
        hints: whether words count that could also mean something else, and those for near infrared, which stands in
            for infrared; words for images and for a split may then be beside them.
    """
    name = _NEUTRAL_SIGNS.sub("", unicodedata.normalize("NFC", name.lower()))
    if name in FOLDERS:
        return Label(FOLDERS[name], next((split for split in SPLITS if name.startswith(split)), ""))
    words = re.findall(r"[^\W_]+", name)
    sides = [word for word in words if not (hints and (word in _NEUTRAL or word in SPLITS))]
    known = FOLDERS | (HINTS | dict.fromkeys(MODALITIES[NEAR_INFRARED].words, "infrared") if hints else {})
    modality = known.get(sides[0]) if sides else None
    agree = all(modality in (FOLDERS.get(word), HINTS.get(word)) for word in sides[1:])
    return Label(modality if agree else None, " ".join(word for word in words if word in SPLITS))


def side_of(modality: str | None) -> str | None:
    """The side of a task on which a modality is used: near infrared stands in for infrared."""
    return "infrared" if modality == NEAR_INFRARED else modality


def task_of(a: str | None, b: str | None) -> str | None:
    """The task whose side a shows modality ``a`` and side b ``b``; None if there is none."""
    return next((task for task, sides in TASKS.items() if sides == (a, b)), None)


def folders_of(task: str) -> tuple[str, str]:
    """What the kit calls the folders of side a and side b: ("ir", "vi"), ("mri", "ct"), ..."""
    a, b = TASKS[task]
    return MODALITIES[a].words[0], MODALITIES[b].words[0]
