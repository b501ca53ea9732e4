"""The sample pictures of the kit: small registered pairs, free to use, synthetic or simulated throughout."""

from dataclasses import dataclass
from pathlib import Path

from mambadfuse.data.pairs import match_pairs
from mambadfuse.resources import resource_folder

_SIDES = {
    "ct-mri": ("mri", "ct"),
    "ivf": ("ir", "vi"),
    "pet-mri": ("mri", "pet"),
    "spect-mri": ("mri", "spect"),
}


@dataclass(frozen=True)
class SamplePair:
    """Two registered pictures of one scene; a is the infrared or MRI side, b the visible, CT, PET or SPECT side."""

    task: str
    name: str
    a: Path
    b: Path


def samples(task: str | None = None) -> list[SamplePair]:
    """The sample pairs of one task, or of all tasks, in the order of task and name.

    Args:
        task: "ct-mri", "ivf", "pet-mri" or "spect-mri"; None for all four.

    Raises:
        ValueError: there is no such task.
        FileNotFoundError: this installation came without the pictures.
    """
    if task is not None and task not in _SIDES:
        raise ValueError(f"unknown task {task!r}: choose one of {', '.join(_SIDES)}")
    found = []
    for each in [task] if task else sorted(_SIDES):
        folder_a, folder_b = (resource_folder("data_samples") / each / side for side in _SIDES[each])
        found += [
            SamplePair(each, pair.name, pair.a, pair.b) for pair in match_pairs(folder_a, folder_b).pairs
        ]
    return found
