"""The sample images of the kit: small registered pairs, free to use, synthetic or simulated throughout."""

from mambadfuse.data.pairs import Pair, match_folders
from mambadfuse.data.tasks import TASKS, folders_of
from mambadfuse.resources import resource_folder


def samples(task: str | None = None) -> list[Pair]:
    """The sample pairs of one task, or of all tasks, in the order of task and name.

    >>> from mambadfuse.data.samples import samples
    >>> [(pair.task, pair.name) for pair in samples("ivf")]
    [('ivf', 'synthetic_night_street'), ('ivf', 'synthetic_smoke_yard')]

    Args:
        task: "ct-mri", "ivf", "pet-mri" or "spect-mri"; None for all four.

    Raises:
        ValueError: there is no such task.
        FileNotFoundError: this installation lacks the images.
    """
    if task is not None and task not in TASKS:
        raise ValueError(f"unknown task {task!r}: choose one of {', '.join(sorted(TASKS))}")
    pairs: list[Pair] = []
    for each in [task] if task else sorted(TASKS):
        folder_a, folder_b = (resource_folder("data_samples") / each / folder for folder in folders_of(each))
        pairs += match_folders(folder_a, folder_b, each).pairs
    return pairs
