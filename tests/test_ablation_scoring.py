"""Runs are scored by any metric and any fault, and each has its direction."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from ablation_cases import TABLE, experiment
from torch import nn
from training_cases import toy_pairs

from mambadfuse import cli
from mambadfuse.ablation import Store, compare, metric_names, score_test
from mambadfuse.ablation.scoring import lower_is_better, score
from mambadfuse.ablation.verdicts import effects
from mambadfuse.evaluation.faults import measure
from mambadfuse.metrics import EIGHT, evaluate


class Brighter(nn.Module):
    """The brighter of two pixels; with a ramp from left to right, which no turned image has."""

    def __init__(self, ramp=0.0):
        super().__init__()
        self.ramp = ramp

    def forward(self, a, b):
        return (torch.maximum(a, b) + self.ramp * torch.linspace(0, 1, a.shape[-1])).clamp(0, 1)


PAIRS = toy_pairs(2, (44, 48))


def test_scores_are_those_of_the_metrics_and_the_fault_meter():
    names = metric_names(["MSE", "faults", "Qabf", "BLUR"])
    found = score(Brighter(), PAIRS, names)
    for pair in PAIRS:
        a, b = pair.pictures()
        expected = evaluate(np.maximum(a, b), a, b, metrics=["Qabf", "MSE", "BLUR"])
        expected |= measure(np.maximum(a, b), a, b)
        assert list(found.scores[pair.name]) == list(names)
        assert found.scores[pair.name] == pytest.approx(expected, nan_ok=True)


def test_faults_of_fusing_are_scored_too():
    upright, ramped = (
        score(Brighter(ramp), PAIRS, ["raster bias", "tile seam"]).scores["toy_0"] for ramp in (0.0, 0.2)
    )
    assert upright["raster bias"] == 0
    assert ramped["raster bias"] > 5
    assert math.isnan(upright["tile seam"])  # it fits into one tile


def test_contrast_and_likeness_tell_a_picture_from_none():
    class Constant(Brighter):
        def forward(self, a, b):
            return torch.full_like(a, 0.5)

    class Negative(Brighter):
        def forward(self, a, b):
            return 1 - (a + b) / 2

    likenesses = [score(network(), PAIRS, ["EN"]).likeness for network in (Brighter, Constant, Negative)]
    assert likenesses[0] > 0.8
    assert likenesses[1] == 0
    assert likenesses[2] == pytest.approx(-1, abs=0.01)
    assert score(Constant(), PAIRS, ["EN"]).contrast == 0


def test_unknown_metrics_are_named_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match="unknown metric 'qabf': choose from EN"):
        experiment(tmp_path, metrics=("qabf",))
    with pytest.raises(ValueError, match="at least one metric"):
        metric_names([])


@pytest.mark.parametrize(
    ("metric", "verdict"), [("MSE", "worse"), ("noise gain", "worse"), ("target", "better"), ("CC", "better")]
)
def test_a_verdict_knows_which_way_is_better(metric, verdict):
    rows = [{seed: np.array([1.0 + 0.001 * seed]) for seed in range(5)}]
    [effect] = effects(rows, {seed: np.array([0.5]) for seed in range(5)}, metric)
    assert effect.verdict == verdict
    assert lower_is_better(metric) == (verdict == "worse")


def score_test_in(out, pairs):
    return score_test(Store(out / "results.jsonl"), pairs)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    torch.set_num_threads(1)
    mine = experiment(tmp_path_factory.mktemp("scored"), metrics=("MSE", "CC", "halo", "target"))
    for seed in range(2):
        mine.run(TABLE["default"], seed)
    return mine


@pytest.mark.parametrize("task", [lambda out, pairs: experiment(out, validation=pairs), score_test_in])
def test_pairs_of_one_name_are_refused_where_their_scores_would_replace_each_other(tmp_path, task):
    pairs = [*toy_pairs(2, (44, 48)), *toy_pairs(1, (48, 48))]
    with pytest.raises(ValueError, match="must have different names, found 'toy_0' 2 times"):
        task(tmp_path, pairs)
    assert not list(tmp_path.iterdir())


def test_a_stored_result_by_more_metrics_is_reused_by_one_with_fewer_not(scored):
    fewer, others = (experiment(scored.out, metrics=names) for names in (("CC", "MSE"), EIGHT))
    assert list(fewer.stored_result(TABLE["default"], 0).means) == ["CC", "MSE"]
    assert others.stored_result(TABLE["default"], 0) is None
    assert [result.seed for result in fewer.results()] == [0, 1]
    assert others.results() == []


def test_the_report_shows_the_chosen_metrics_and_says_where_lower_is_better(scored, capsys):
    report = compare(scored.results(), primary="MSE")
    assert report.metrics == ("MSE", "CC", "halo", "target")
    assert report.primary == "MSE"
    assert cli.main(["ablate", "--report", str(scored.out), "--metrics", "CC", "MSE"]) == 0
    printed = capsys.readouterr().out
    assert "CC" in printed
    assert "halo" not in printed
    assert cli.main(["ablate", "--report", str(scored.out), "--metrics", "VIF"]) == 1
    assert (
        "default, seed 0: was not scored by 'VIF', only by MSE, CC, halo, target" in capsys.readouterr().err
    )


@pytest.mark.parametrize("metrics", [("MSE", "CC"), ("VIF",)])
def test_the_report_of_runs_that_were_scored_again_shows_any_of_the_metrics(
    scored, tmp_path, capsys, metrics
):
    """As kept weights are, by other metrics: both results of a run stay in the store."""
    store = Store(tmp_path / "results.jsonl")
    again = [
        replace(one, means={"VIF": 0.5}, scores={picture: {"VIF": 0.5} for picture in one.scores})
        for one in scored.results()
    ]
    for result in [*scored.results(), *again]:
        store.append(result)
    assert cli.main(["ablate", "--report", str(tmp_path), "--metrics", *metrics]) == 0
    header = capsys.readouterr().out.split("\n\n")[1].splitlines()[0].split()
    assert header == ["row", "seeds", "parameters", "seconds", "training", *metrics]


def test_a_primary_metric_that_will_not_be_scored_is_refused_before_training(capsys):
    with pytest.raises(SystemExit):
        cli.main(["ablate", "--metrics", "MSE", "--primary", "VIF"])
    assert "--primary VIF: is not one of the metrics MSE" in capsys.readouterr().err
