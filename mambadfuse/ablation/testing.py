"""Test scores: the kept weights of an ablation, scored once on pairs by which nothing was chosen.

Rows are trained, judged and chosen by validation pairs. A number for a paper is one of pairs that took no part in any
choice; so test pairs are scored by a command of their own, with the metrics of the validation scores, and a folder of
results takes one set of them: whoever may try a second has chosen by the first.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mambadfuse.ablation.experiment import numbers
from mambadfuse.ablation.scoring import require_distinct_names, score
from mambadfuse.ablation.store import Result, Store
from mambadfuse.data.crops import fingerprint
from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.fusion.pair import load_model
from mambadfuse.training.validation import require_large_enough


def score_test(
    store: Store, pairs: Sequence[TrainingPair], say: Callable[[str], None] = print
) -> list[Result]:
    """Score the kept weights of stored runs on test pairs; those that are scored already are not scored again.

    Runs without their weights are left out, and how many is said.

    Args:
        store: the results of an ablation that was run with ``keep_weights``; test results are added to it.
        pairs: test pairs, fused whole, which must not be among those of the ablation.
        say: called with one line for every run, and one if some are left out.

    Returns:
        The test results of all runs with weights.

    Raises:
        ValueError: there is no pair, one is too small, or two have one name; no run is stored, or none with its
            weights; or other pairs were the test pairs before.
        CheckpointError: weights cannot be loaded.
    """
    if not pairs:
        raise ValueError("a test needs pairs, found none")
    require_large_enough(pairs)
    require_distinct_names(pairs)
    mark = fingerprint([pairs])
    results = store.results()
    tested = [result for result in results if result.split == "test"]
    if other := [result for result in tested if _test_pairs(result) != mark]:
        raise ValueError(
            f"{store.path}: was tested on other pairs, {_test_pairs(other[0])}, found {mark}: results that have been "
            "seen on one test set cannot be tested on a second"
        )
    if not (trained := [result for result in results if result.split == "validation"]):
        raise ValueError(f"{store.path}: there are no results to test")
    done = {_run(result): result for result in tested}
    runs = {
        _run(result): result
        for result in trained
        if _run(result) in done or (result.weights and (store.path.parent / result.weights).is_file())
    }
    every, kept = ({(one.row, one.seed, one.setting) for one in of} for of in (trained, runs.values()))
    if lost := len(every - kept):
        left_out = (
            f"{lost} of {len(every)} runs have not kept their weights; --keep-weights trains them once more"
        )
        if not kept:
            raise ValueError(f"{store.path}: {left_out}")
        say(f"left out: {left_out}")
    for key, run in runs.items():
        if key not in done:
            found = score(load_model(store.path.parent / run.weights), pairs, tuple(run.means))
            done[key] = replace(run, split="test", pairs=f"{run.pairs}+{mark}", **numbers(found))
            store.append(done[key])
            say(f"{len(done)}/{len(runs)} {run.row}, seed {run.seed}: tested")
    return [done[key] for key in runs]


def _run(result: Result) -> tuple[str, str]:
    """What tells a training and its metrics from others."""
    return result.weights, " ".join(result.means)


def _test_pairs(result: Result) -> str:
    return result.pairs.rpartition("+")[2]
