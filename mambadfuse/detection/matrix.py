"""The matrix: a detector trained on every input, several times, and tested on every input that it can read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mambadfuse.detection.boxes import Flags
from mambadfuse.detection.dataset import DetectionSet
from mambadfuse.detection.evaluation import detect, detection_scores
from mambadfuse.detection.training import DetectorConfig
from mambadfuse.detection.training_run import trained_detector
from mambadfuse.evaluation.table import plain
from mambadfuse.files import atomic_write, make_folder, require_no_special

SHIPPED_RESULTS = Path(__file__).with_name("results") / "scenes.jsonl"


@dataclass(frozen=True)
class Trained:
    """A detector that was trained on one input, and its scores on others. All fields are JSON types.

    Attributes:
        source: the input it was trained on.
        seed: of the training.
        steps: of the training.
        images: it was trained on.
        scores: for each input it was tested on, what :func:`~mambadfuse.detection.evaluation.detection_scores` says.
    """

    source: str
    seed: int
    steps: int
    images: int
    scores: Mapping[str, Mapping[str, float]]


def run_matrix(
    training: Mapping[str, DetectionSet],
    test: Mapping[str, DetectionSet],
    config: DetectorConfig,
    seeds: Sequence[int],
    folder: str | Path,
    *,
    groups: Mapping[str, Sequence[Flags]] | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> list[Trained]:
    """Trains the detectors that are missing in a folder, tests all, and writes their scores to ``results.jsonl`` there.

    So it can be stopped at any time, and inputs and seeds can be added later, but none left out. Detectors with one
    seed start from the same weights, if they have as many channels, and see the same images in the same order: their
    scores are compared in pairs.

    Args:
        training: by input, the same images in the same order.
        test: by the same inputs.
        config: of the training runs; its seed is replaced.
        seeds: of the training runs.
        folder: of the detectors, ``weights/INPUT-SEED.safetensors``, and the results.
        groups: see :func:`~mambadfuse.detection.evaluation.detection_scores`.
        device: of the networks.
        progress: whether to show a progress bar.

    Raises:
        ValueError: training and test have other inputs; or the folder holds results of further inputs or seeds, which
            would be lost, or a detector that was trained on other images or with another configuration.
        OSError: a file cannot be read or written.
    """
    if training.keys() != test.keys():
        raise ValueError(f"training has the inputs {', '.join(training)}, the test {', '.join(test)}")
    folder = Path(folder)
    results, found = folder / "results.jsonl", []
    runs = [(source, replace(config, seed=seed)) for seed in seeds for source in training]
    _require_all_of(results, {(source, run.seed) for source, run in runs})
    for source, run in tqdm(runs, unit="detector", disable=not progress):
        file = folder / "weights" / f"{source}-{run.seed}.safetensors"
        network = trained_detector(training[source], run, file, source, device)
        scores = {
            other: detection_scores(detect(network, images.pixels), images.objects, images.classes, groups)
            for other, images in test.items()
            if images.pixels.shape[1] == network.channels
        }
        found.append(Trained(source, run.seed, run.steps, len(training[source].pixels), scores))
    write_results(results, found)
    return found


def _require_all_of(file: Path, runs: set[tuple[str, int]]) -> None:
    there = {(one.source, one.seed) for one in read_results(file)} if file.exists() else set()
    if lost := sorted(there - runs):
        source, seed = lost[0]
        raise ValueError(
            f"{file}: holds results that these runs would replace but lack, such as input {source} with seed {seed}: "
            "give all its inputs and as many seeds, or choose another folder"
        )


def write_results(file: str | Path, results: Sequence[Trained]) -> None:
    """Writes results, one a line.

    Raises:
        OSError: the file cannot be written.
    """
    make_folder(Path(file).parent)
    lines = [json.dumps(plain(asdict(one)), separators=(",", ":"), allow_nan=False) + "\n" for one in results]
    with atomic_write(Path(file)) as out:
        out.write("".join(lines).encode())


def read_results(file: str | Path = SHIPPED_RESULTS) -> list[Trained]:
    """The results in a file; by default those of the made-up scenes, which come with the kit.

    Raises:
        ValueError: a line is no result, or has other scores than the first; the message names it.
        OSError: the file is missing or cannot be read.
    """
    require_no_special(Path(file))
    results = []
    for number, line in enumerate(Path(file).read_bytes().splitlines(), 1):
        try:
            results.append(_trained(json.loads(line)))
            _require_same_scores(results[0], results[-1])
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{file}: line {number} is no result of a matrix: {error}") from error
    return results


def _require_same_scores(first: Trained, one: Trained) -> None:
    expected = first.scores[first.source].keys()
    for name, scores in one.scores.items():
        if scores.keys() != expected:
            raise ValueError(
                f"on {name} it has the scores {', '.join(scores)}, the first {', '.join(expected)}"
            )


def _trained(fields: Mapping[str, Any]) -> Trained:
    one = Trained(**fields)
    for name, kind in (("source", str), ("seed", int), ("steps", int), ("images", int)):
        if not isinstance(getattr(one, name), kind):
            raise TypeError(f"{name} is {getattr(one, name)!r}")
    scores = {name: {metric: float(x) for metric, x in own.items()} for name, own in one.scores.items()}
    if "AP50" not in scores.get(one.source, {}):
        raise ValueError(f"it lacks the AP50 of a detector on its own input, {one.source}")
    return replace(one, scores=scores)
