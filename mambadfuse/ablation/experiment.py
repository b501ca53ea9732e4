"""An ablation and one run of it: a row trained with a seed, scored image by image, and stored."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mambadfuse.ablation.scoring import Scored, means, metric_names, require_distinct_names, score
from mambadfuse.ablation.store import Result, Store
from mambadfuse.ablation.table import Row, row_config
from mambadfuse.data.crops import fingerprint
from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.files import atomic_write, made_folder, make_folder
from mambadfuse.fusion.pair import load_model
from mambadfuse.metrics import EIGHT
from mambadfuse.models.checkpoints import Network
from mambadfuse.models.flops import total_flops
from mambadfuse.training import TrainingConfig, read_log, run_folder, train
from mambadfuse.training.checkpointing import exclusive
from mambadfuse.training.code import RunCode, code_of, kit_code
from mambadfuse.training.estimate import peak_memory
from mambadfuse.training.state import versions
from mambadfuse.training.validation import require_large_enough

_POINTS = 50  # of a stored curve
_DIGITS = 6  # significant digits of a stored score


@dataclass(frozen=True)
class Experiment:
    """What all rows of one ablation have in common.

    Attributes:
        sets: groups of pairs to train on, as for :func:`mambadfuse.training.train`.
        validation: pairs to score, each fused whole.
        out: a folder; results go to ``results.jsonl`` in it, unfinished runs to ``runs/``.
        task: one of :data:`mambadfuse.training.TASKS`.
        budget: one of :data:`mambadfuse.training.BUDGETS`.
        settings: overrides such as ``steps=300``, for every row.
        metrics: what every run is scored by, as in :mod:`mambadfuse.ablation.scoring`.
        keep_weights: whether to keep the weights of every run, in ``weights/``; a run that was stored without them is
            trained once more.

    Raises:
        ValueError: there is no validation pair, one is too small for the scores, two have one name, or a metric is
            unknown.
    """

    sets: Sequence[Sequence[TrainingPair]]
    validation: Sequence[TrainingPair]
    out: Path
    task: str = "ivf"
    budget: str = "minutes"
    settings: tuple[str, ...] = ()
    metrics: tuple[str, ...] = EIGHT
    keep_weights: bool = False

    def __post_init__(self) -> None:
        """Reject pairs that cannot be scored; ``faults`` among the metrics becomes their names."""
        object.__setattr__(self, "metrics", metric_names(self.metrics))
        if not self.validation:
            raise ValueError("an ablation needs validation pairs, found none")
        require_large_enough(self.validation)
        require_distinct_names(self.validation)

    @property
    def store(self) -> Store:
        """The file of results."""
        return Store(self.out / "results.jsonl")

    @cached_property
    def pairs(self) -> str:
        """The fingerprint of all pairs."""
        return fingerprint([*self.sets, self.validation])

    def config(self, row: Row, seed: int) -> TrainingConfig:
        """The training configuration of a row.

        Raises:
            ValueError: as :func:`mambadfuse.ablation.row_config`.
        """
        return row_config(row, budget=self.budget, task=self.task, seed=seed, settings=self.settings)

    def weights_path(self, row: Row, seed: int) -> Path:
        """The weights file of an unfinished run; its log is ``steps.jsonl`` in the ``run_folder`` of that file."""
        return self.out / "runs" / self._name(row, seed) / "weights.safetensors"

    def kept_path(self, row: Row, seed: int) -> Path:
        """Where the weights of a finished run are kept, to be read by :func:`mambadfuse.load`."""
        return self.out / "weights" / f"{self._name(row, seed)}.safetensors"

    def _name(self, row: Row, seed: int) -> str:
        """Row, seed, and a digest of all that decides the weights."""
        config = self.config(row, seed)
        identity = json.dumps([config.identity(), self.pairs, code_of(config).identity()])
        return f"{row.name}-{seed}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"

    def stored_result(self, row: Row, seed: int) -> Result | None:
        """The stored result of exactly this training with the present code, None without one.

        It is by all of the metrics, and if weights are to be kept, has kept them.
        """
        known = set(self.metrics)
        stored = (one for one in self._same_code(row, seed) if known <= one.means.keys())
        return next((one.only(self.metrics) for one in stored if self._has_weights(one)), None)

    def _has_weights(self, result: Result) -> bool:
        return not self.keep_weights or (result.weights != "" and (self.out / result.weights).is_file())

    def results(self) -> list[Result]:
        """All stored results of these settings, pairs and code by all of the metrics, in the order of the store."""
        known = set(self.metrics)
        mine = (one for one in self.store.results() if one.setting == self.setting)
        return [one.only(self.metrics) for one in mine if known <= one.means.keys()]

    def code_changes(self, row: Row, seed: int) -> str:
        """What has changed in the code since the last result of this training with other code; empty without one."""
        if not (matching := self._same_but_for_code(row, seed)):
            return ""
        code = code_of(self.config(row, seed))
        changes = (code.changes_from(RunCode.from_dict(result.code)) for result in matching)
        return next(filter(None, changes), "")

    @property
    def setting(self) -> tuple[object, ...]:
        """What its results have in common: the :attr:`Result.setting` of each."""
        return self.task, self.budget, tuple(self.settings), self.pairs, "validation", kit_code()

    def _same_code(self, row: Row, seed: int) -> list[Result]:
        """The stored results of this training with the present code, by any metrics, latest first."""
        if not (matching := self._same_but_for_code(row, seed)):
            return []
        code = code_of(self.config(row, seed))
        return [result for result in matching if RunCode.from_dict(result.code) == code]

    def _same_but_for_code(self, row: Row, seed: int) -> list[Result]:
        """The stored results of this training, with any code, latest first."""
        config = _plain(self.config(row, seed).identity())
        return [
            result
            for result in reversed(self.store.results())
            if (result.row, result.seed, result.config) == (row.name, seed, config)
            and result.setting[:-1] == self.setting[:-1]
        ]

    def run(self, row: Row, seed: int, progress: bool = False) -> Result:
        """Train, score and store; a stopped run resumes, a stored one is not run again.

        Returns:
            The result, which is then in the store; the folder of the run is deleted.

        Raises:
            BusyError: another process is training this run.
            KeyboardInterrupt: after Ctrl-C or SIGTERM, once a checkpoint is saved.
            Exception: whatever :func:`mambadfuse.training.train` raises.
        """
        weights = self.weights_path(row, seed)
        lock = weights.parent.with_name(f".{weights.parent.name}.lock")
        with made_folder(lock.parent), exclusive(lock, f"{row.name}, seed {seed}", remove=True):
            result = self.stored_result(row, seed)
            if result is None:
                result = self._scored_again(row, seed) or self.train_and_score(row, seed, weights, progress)
                self.store.append(result)
            shutil.rmtree(weights.parent, ignore_errors=True)  # leftovers do no harm
        return result

    def _scored_again(self, row: Row, seed: int) -> Result | None:
        """The stored result of a run whose weights were kept, by the present metrics; None without one."""
        for before in self._same_code(row, seed):
            if before.weights and (path := self.out / before.weights).is_file():
                found = score(_network(path, self.config(row, seed)), self.validation, self.metrics)
                return replace(before, **numbers(found))
        return None

    def train_and_score(self, row: Row, seed: int, weights: Path, progress: bool = False) -> Result:
        """Train to the last step and score as :meth:`scored`; nothing is stored.

        Raises:
            Exception: as :meth:`run`.
        """
        config = self.config(row, seed)
        with made_folder(weights.parent):
            train(config, self.sets, weights, progress=progress)
        result = self.scored(row, seed, config, weights)
        if not self.keep_weights:
            return result
        kept = self.kept_path(row, seed)
        make_folder(kept.parent)
        with atomic_write(kept, durable=True) as file:
            file.write(weights.read_bytes())
        return replace(result, weights=kept.relative_to(self.out).as_posix())

    def scored(self, row: Row, seed: int, config: TrainingConfig, weights: Path) -> Result:
        """The result of a run that was trained with this configuration to its last step; nothing is stored."""
        log = read_log(run_folder(weights) / "steps.jsonl")
        network = _network(weights, config)
        found = score(network, self.validation, self.metrics)
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
            **numbers(found),
            curve=downsample((record["step"], record["total"]) for record in log),
            flops=total_flops(config.model, *self.validation[0].shape),
            code=code_of(config).to_dict(),
        )


def _network(weights: Path, config: TrainingConfig) -> Network:
    """On the device that the run is trained on."""
    network = load_model(weights, "cpu" if config.device == "cpu" else "auto")
    assert isinstance(network, Network)
    return network


def downsample(curve: Iterable[tuple[int, float]], points: int = _POINTS) -> list[list[float]]:
    """A curve of at most ``points`` points: [last step, mean loss] of as many parts of equal length."""
    records = np.array(list(curve), dtype=float)  # (records, 2)
    parts = np.array_split(records, min(points, len(records)))
    return [[int(part[-1, 0]), _rounded(part[:, 1].mean())] for part in parts]


def numbers(found: Scored) -> dict[str, Any]:
    """Those fields of a result that its fused images decide."""
    return {
        "means": _all_rounded(means(found.scores)),
        "scores": {picture: _all_rounded(one) for picture, one in found.scores.items()},
        "contrast": _rounded(found.contrast),
        "likeness": _rounded(found.likeness),
    }


def _all_rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: _rounded(x) for name, x in scores.items()}


def _rounded(x: float) -> float:
    return float(f"{x:.{_DIGITS}g}")


def _plain(settings: Mapping[str, object]) -> dict[str, object]:
    """The settings as JSON returns them, tuples as lists."""
    plain: dict[str, object] = json.loads(json.dumps(settings))
    return plain
