"""Single folders: pairs whose two images lie in one folder and say in their names which side they are.

The TNO archive is like that, lake/IR_lake_g.bmp beside lake/VIS_lake_r.bmp, and so are many folders of examples:
IR_1.png, VIS_1.png, IR_2.png, VIS_2.png.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import product
from pathlib import Path

from mambadfuse.data.images import FORMATS
from mambadfuse.data.issues import Issue
from mambadfuse.data.pairs import Pair, PairSet, pictures_by_name, without_results
from mambadfuse.data.tasks import COMPOSITE, MODALITIES, NEAR_INFRARED, TASKS, Label, read_label, side_of

_STANDS_IN = "near infrared, used as there is no thermal image of the scene"
_THERMAL_FIRST = "near infrared, not used as there is a thermal image of the scene"
_NO_PICTURE = "not an image by its suffix"
_NO_SIDE = "not used, as its name gives no side, or marks a composite (rg)"


def match_within(root: Path, folders: Iterable[Path], task: str, split: str = "all") -> PairSet:
    """Pairs of images that lie in one folder, matched by the words and letters of :mod:`~mambadfuse.data.tasks`.

    ``lake/IR_lake_g.bmp`` goes with ``lake/VIS_lake_r.bmp``, under the name of side a, ``lake/IR_lake_g``. Within a
    folder the images of one scene belong together: their names differ only in the words for the side. If no scene
    yields a pair, words that could also mean something else are read, too: ``DJI_1_T.jpg`` goes with ``DJI_1_W.jpg``.
    In a scene without a pair one image may say nothing: ``1_thermal.png`` goes with ``1.png``, if that is the only
    candidate. If no scene yields a pair, the folder as a whole is one. Thermal infrared takes precedence over near
    infrared, which stands in where a scene has no thermal image. Nothing is guessed: of a scene with two images of one
    side neither is used, and all of them are issues. Other files may lie in the folder; they become notes.

    Args:
        root: pairs are named by their path below it.
        folders: searched one by one, without their sub-folders.
        task: images of other modalities than its two are ignored.
        split: of the result.
    """
    pairs: list[Pair] = []
    issues: list[Issue] = []
    for folder in folders:
        here, results = _files_in(folder)
        issues += results
        pictures = [path for path in here if path.suffix.lower() in FORMATS]
        issues += [Issue(path, _NO_PICTURE, "note") for path in here if path not in pictures]
        files, same_name = pictures_by_name(pictures, root)
        issues += same_name
        by_hints = {name for scene in _by_scene(files, True) for name in _choose(scene, TASKS[task], False)}
        for scene in _scenes(files, TASKS[task]):
            chosen = _choose(scene, TASKS[task], unmarked=by_hints.isdisjoint(scene))
            if chosen:
                pair = Pair(chosen[0], files[chosen[0]], files[chosen[1]], task)
                if pair.a.samefile(pair.b):
                    issues.append(Issue(pair.a, f"is the same file as its partner {pair.b}"))
                else:
                    pairs.append(pair)
            for name, label in scene.items():
                if label.modality in (None, COMPOSITE) and name not in chosen:
                    issues.append(Issue(files[name], _NO_SIDE, "note"))
                elif label.modality == NEAR_INFRARED and chosen:
                    reason = _STANDS_IN if name in chosen else _THERMAL_FIRST
                    issues.append(Issue(files[name], reason, "note"))
                elif side_of(label.modality) in TASKS[task] and name not in chosen:
                    issues.append(Issue(files[name], _why_unpaired(scene)))
    pairs.sort(key=lambda pair: pair.name)
    return PairSet(root, root, tuple(pairs), tuple(issues), task, split)


def tasks_in(folder: Path) -> list[str]:
    """The tasks whose two sides both occur in the names of the images in a folder."""
    files, _ = pictures_by_name(_files_in(folder)[0], folder)
    found = {side_of(read_label(name).modality) for name in files}
    by_hints = _by_scene(files, hints=True)
    marked = [task for task, sides in TASKS.items() if found.issuperset(sides) or _has_pair(by_hints, sides)]
    if marked:
        return marked
    readings = [_by_scene(files, hints) for hints in (False, True)]
    return [task for task, sides in TASKS.items() if any(_has_pair(own, sides, True) for own in readings)]


def several_readings(folder: Path) -> Issue | None:
    """An image of which several others, or one in several ways, could be the partner; None if there is none.

    It is asked of folders without a pair: ``1.png`` could be CT, PET or SPECT beside ``1_mri.png``, the visible side of
    ``1_ir.png`` or of ``1_thermal.png`` beside both, and ``1_T.png`` belong to ``1_W.png`` or to ``1_Z.png``.
    """
    files, _ = pictures_by_name(_files_in(folder)[0], folder)
    for scene in (scene for hints in (False, True) for scene in _by_scene(files, hints)):
        if reading := _rivals(scene) or _unmarked_rivals(scene):
            name, what = reading
            reason = (
                f"could be paired with {what}: name both sides, or list the pairs in a file (--pairs-file)"
            )
            return Issue(files[name], reason)
    return None


def _rivals(scene: Mapping[str, Label]) -> tuple[str, str] | None:
    """An image of a scene and its possible partners, where a side of a task occurs several times."""
    for sides in TASKS.values():
        few, many = sorted((_of_side(scene, side) for side in sides), key=len)
        if few and len(many) > 1:
            return few[0], " or ".join(sorted(many))
    return None


def _unmarked_rivals(scene: Mapping[str, Label]) -> tuple[str, str] | None:
    """The same, where a name gives no side."""
    unmarked = sorted(name for name, label in scene.items() if label.modality is None)
    marked = sorted(scene.keys() - unmarked)
    titles = sorted(
        MODALITIES[other].title for other in _others({side_of(scene[name].modality) for name in marked})
    )
    if not (unmarked and marked and titles):
        return None
    return marked[0], f"{' or '.join(unmarked)}, as {' or '.join(titles)}, beside {' or '.join(marked)}"


def _others(sides: Collection[str | None]) -> set[str]:
    """The modalities that a task joins with one of these."""
    return {b if a in sides else a for a, b in TASKS.values() if (a in sides) is not (b in sides)}


def _files_in(folder: Path) -> tuple[list[Path], list[Issue]]:
    """The files of a folder, in order, and a note on each result among them, which is left out."""
    files = [path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith(".")]
    return without_results(files, folder)


def _scenes(names: Iterable[str], sides: tuple[str, str]) -> list[dict[str, Label]]:
    """The files of a folder by scene; all of them as one scene if no scene has a pair."""
    for unmarked, hints in product((False, True), (False, True)):
        if _has_pair(scenes := _by_scene(names, hints), sides, unmarked):
            return scenes
    return [{name: read_label(name.rpartition("/")[2]) for name in names}]


def _by_scene(names: Iterable[str], hints: bool) -> list[dict[str, Label]]:
    scenes: dict[str, dict[str, Label]] = defaultdict(dict)
    for name in names:
        label = read_label(name.rpartition("/")[2], hints)
        scenes[label.scene][name] = label
    return list(scenes.values())


def _has_pair(scenes: Iterable[dict[str, Label]], sides: tuple[str, str], unmarked: bool = False) -> bool:
    return any(_choose(scene, sides, unmarked) for scene in scenes)


def _choose(scene: Mapping[str, Label], sides: tuple[str, str], unmarked: bool) -> tuple[str, ...]:
    """The pair of a scene, side a first; empty if a side is missing or occurs several times.

    ``unmarked`` lets the only image whose name gives no side stand for the missing one, if it can be no other side.
    """
    a, b = (_of_side(scene, side) for side in sides)
    if unmarked and bool(a) != bool(b) and len(_others([sides[0] if a else sides[1]])) == 1:
        unknown = Label(None, scene[(a or b)[0]].scene)
        others = [name for name, label in scene.items() if label == unknown]
        a, b = a or others, b or others
    return (a[0], b[0]) if len(a) == len(b) == 1 else ()


def _of_side(scene: Mapping[str, Label], side: str) -> list[str]:
    """The images of a side, or else those that stand in for it."""
    names = [name for name, label in scene.items() if label.modality == side]
    return names or [name for name, label in scene.items() if side_of(label.modality) == side]


def _why_unpaired(scene: Iterable[str]) -> str:
    names = sorted(scene)
    if len(names) == 1:
        return "has no partner in its folder"
    several = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return f"has no partner that could be identified among {several}"
