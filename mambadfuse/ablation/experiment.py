"""An ablation and one run of it: a row trained with a seed, scored picture by picture, and stored."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mambadfuse.ablation.store import Result, Store
from mambadfuse.ablation.table import Row, configuration
from mambadfuse.data.crops import fingerprint
from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.files import make_folder
from mambadfuse.fusion.pair import fuse, load_model
from mambadfuse.metrics import EIGHT, evaluate
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.training import TrainingConfig, read_log, run_folder, train
from mambadfuse.training.checkpointing import alone
from mambadfuse.training.estimate import peak_memory
from mambadfuse.training.state import versions
from mambadfuse.training.validation import require_large_enough

POINTS = 50  # of a stored curve
DIGITS = 6  # of a stored score


@dataclass(frozen=True)
class Experiment:
    """What all rows of one ablation have in common.

    Attributes:
        sets: groups of pairs to train on, as for :func:`mambadfuse.training.train`.
        validation: pairs to be judged by, each fused whole.
        out: a folder; results go to ``results.jsonl`` in it, unfinished runs to ``runs/``.
        task: one of :data:`mambadfuse.training.TASKS`.
        budget: one of :data:`mambadfuse.training.BUDGETS`.
        settings: words such as ``steps=300`` that hold for every row.

    Raises:
        ValueError: there is no pair to be judged by, or one is too small for the scores.
    """

    sets: Sequence[Sequence[TrainingPair]]
    validation: Sequence[TrainingPair]
    out: Path
    task: str = "ivf"
    budget: str = "minutes"
    settings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse pairs that no row can be judged by."""
        if not self.validation:
            raise ValueError("an ablation needs pairs to judge its rows by")
        require_large_enough(self.validation)

    @property
    def store(self) -> Store:
        """Where results are kept."""
        return Store(self.out / "results.jsonl")

    @cached_property
    def pairs(self) -> str:
        """The fingerprint of all pairs."""
        return fingerprint([*self.sets, self.validation])

    def config(self, row: Row, seed: int) -> TrainingConfig:
        """What is trained.

        Raises:
            ValueError: as :func:`mambadfuse.ablation.configuration`.
        """
        return configuration(row, budget=self.budget, task=self.task, seed=seed, settings=self.settings)

    def weights(self, row: Row, seed: int) -> Path:
        """The file that an unfinished run will write; its log is ``steps.jsonl`` in ``run_folder`` of it."""
        identity = json.dumps([self.config(row, seed).identity(), self.pairs])
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        return self.out / "runs" / f"{row.name}-{seed}-{digest}" / "weights.safetensors"

    def kept(self, row: Row, seed: int) -> Result | None:
        """The stored result of exactly this training, if there is one."""
        config, setting = _plain(self.config(row, seed).identity()), self.setting
        fitting = [
            result
            for result in self.store.results()
            if (result.row, result.seed, result.setting) == (row.name, seed, setting)
            and result.config == config
        ]
        return fitting[-1] if fitting else None

    @property
    def setting(self) -> tuple[object, ...]:
        """As :attr:`Result.setting` of its results."""
        return self.task, self.budget, tuple(self.settings), self.pairs

    def run(self, row: Row, seed: int, progress: bool = False) -> Result:
        """Train, score and store; a run that was stopped goes on where it stood, a stored one is not run again.

        Returns:
            The result, which is in the store by then; the folder of the run is gone.

        Raises:
            BusyError: another process is at it.
            KeyboardInterrupt: after Ctrl-C or SIGTERM, once the run is kept.
            Exception: whatever :func:`mambadfuse.training.train` raises.
        """
        weights = self.weights(row, seed)
        make_folder(weights.parent.parent)
        lock = weights.parent.with_name(f".{weights.parent.name}.lock")
        with alone(lock, f"{row.name}, seed {seed}"):
            kept = self.kept(row, seed)
            if kept is None:
                kept = self.finish(row, seed, weights, progress)
                self.store.append(kept)
            shutil.rmtree(weights.parent, ignore_errors=True)  # the result is stored: leftovers do no harm
        return kept

    def finish(self, row: Row, seed: int, weights: Path, progress: bool = False) -> Result:
        """Train to the end, score, and say what came out; nothing is stored.

        Raises:
            Exception: as :meth:`run`.
        """
        config = self.config(row, seed)
        make_folder(weights.parent)
        train(config, self.sets, weights, progress=progress)
        log = read_log(run_folder(weights) / "steps.jsonl")
        network = load_model(weights, "cpu" if config.device == "cpu" else "auto")
        assert isinstance(network, MambaDFuse)
        scores = score(network, self.validation)
        return Result(
            row=row.name,
            seed=seed,
            task=self.task,
            budget=self.budget,
            settings=list(self.settings),
            pairs=self.pairs,
            config=_plain(config.identity()),
            versions=versions(),
            parameters=network.parameter_count(),
            seconds=log[-1]["seconds"],
            memory=peak_memory(next(network.parameters()).device),
            means={name: _short(float(np.mean([one[name] for one in scores.values()]))) for name in EIGHT},
            scores={picture: {name: _short(x) for name, x in one.items()} for picture, one in scores.items()},
            curve=thinned((record["step"], record["total"]) for record in log),
        )


def score(network: MambaDFuse, pairs: Iterable[TrainingPair]) -> dict[str, dict[str, float]]:
    """The eight scores ("literature") of every pair fused whole, by its name."""
    scores = {}
    for pair in pairs:
        a, b = pair.pictures()
        fused = fuse(a, b, network)
        scores[pair.name] = evaluate(fused, a, b, metrics=EIGHT)
    return scores


def thinned(curve: Iterable[tuple[int, float]], points: int = POINTS) -> list[list[float]]:
    """A curve of at most so many points: [last step, mean loss] of as many even parts."""
    records = np.array(list(curve), dtype=float)  # (records, 2)
    parts = np.array_split(records, min(points, len(records)))
    return [[int(part[-1, 0]), _short(part[:, 1].mean())] for part in parts]


def _short(x: float) -> float:
    return float(f"{x:.{DIGITS}g}")


def _plain(settings: Mapping[str, object]) -> dict[str, object]:
    """As it comes back from JSON, where a tuple is a list."""
    plain: dict[str, object] = json.loads(json.dumps(settings))
    return plain
