"""Scenes: pairs whose two pictures lie in one folder and say in their names which side they are.

The archive of TNO is made like that, lake/IR_lake_g.bmp beside lake/VIS_lake_r.bmp, and so are many folders of
examples: IR_1.png, VIS_1.png, IR_2.png, VIS_2.png.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from mambadfuse.data.images import FORMATS
from mambadfuse.data.pairs import LeftOut, Matching, Pair, Remark, pictures_by_name
from mambadfuse.data.tasks import COMPOSITE, NEAR_INFRARED, TASKS, Label, read_label

Sides = tuple[str, str]

_STANDS_IN = "near infrared, used as there is no thermal picture of the scene"
_THERMAL_FIRST = "near infrared, not used as there is a thermal picture of the scene"
_NO_PICTURE = "no picture by its suffix"
_NO_SIDE = "not used, as the name says no side, or a composite (rg)"


def match_within(root: Path, folders: Iterable[Path], task: str) -> Matching:
    """Pairs of pictures that lie in one folder, told by the words and letters of :mod:`~mambadfuse.data.tasks`.

    ``lake/IR_lake_g.bmp`` goes with ``lake/VIS_lake_r.bmp``, under the name of side a, ``lake/IR_lake_g``. In each
    folder the pictures of one scene go together, whose names differ only in what they say of the side; if there are
    none, the whole folder is one scene. Thermal infrared comes before near infrared, which stands in where the former
    is missing. Nothing else is chosen: where a scene has two pictures of one side, none is taken. Files that are no
    pictures may lie there, too; they are remarked on.

    Args:
        root: pairs are named by their path below it.
        folders: looked through one by one, without their sub-folders.
        task: pictures of sides that it does not have are passed over.
    """
    sides = {task: sides for sides, task in TASKS.items()}[task]
    pairs: list[Pair] = []
    left_out: list[LeftOut] = []
    remarks: list[Remark] = []
    for folder in folders:
        here = sorted(_files_in(folder))
        pictures = [path for path in here if path.suffix.lower() in FORMATS]
        remarks += [Remark(path, _NO_PICTURE) for path in here if path not in pictures]
        files, more = pictures_by_name(pictures, root)
        left_out += more
        labels = {name: read_label(name.rpartition("/")[2]) for name in files}
        for scene in _scenes(labels, sides):
            chosen = _choose(scene, sides)
            pairs += [Pair(chosen[0], *(files[name] for name in chosen))] if chosen else []
            for name, label in scene.items():
                if label.modality in (None, COMPOSITE):
                    remarks.append(Remark(files[name], _NO_SIDE))
                elif label.modality == NEAR_INFRARED and chosen:
                    remarks.append(Remark(files[name], _STANDS_IN if name in chosen else _THERMAL_FIRST))
                elif _side(label) in sides and name not in chosen:
                    left_out.append(LeftOut(files[name], _without_partner(scene)))
    return Matching(tuple(sorted(pairs, key=lambda pair: pair.name)), tuple(left_out), tuple(remarks))


def tasks_in(folder: Path) -> list[str]:
    """The tasks of which the names of the pictures in a folder say both sides."""
    files, _ = pictures_by_name(_files_in(folder), folder)
    said = {_side(label) for label in map(read_label, files)}
    return [task for sides, task in TASKS.items() if said.issuperset(sides)]


def _files_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]


def _side(label: Label) -> str | None:
    return "infrared" if label.modality == NEAR_INFRARED else label.modality


def _scenes(labels: dict[str, Label], sides: Sides) -> list[dict[str, Label]]:
    """The files of a folder scene by scene; all of them as one if no scene has a pair."""
    scenes: dict[str, dict[str, Label]] = defaultdict(dict)
    for name, label in labels.items():
        scenes[label.scene][name] = label
    return list(scenes.values()) if any(_choose(scene, sides) for scene in scenes.values()) else [labels]


def _choose(scene: Mapping[str, Label], sides: Sides) -> tuple[str, ...]:
    """The pair of a scene, side a first; empty if a side is missing or there are several of it."""
    chosen = []
    for side in sides:
        names = [name for name, label in scene.items() if label.modality == side]
        names = names or [name for name, label in scene.items() if _side(label) == side]
        chosen += names if len(names) == 1 else []
    return tuple(chosen) if len(chosen) == 2 else ()


def _without_partner(scene: Iterable[str]) -> str:
    names = sorted(scene)
    if len(names) == 1:
        return "has no partner in its folder"
    several = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return f"has no partner that could be told among {several}"
