"""Comparison of training runs: read from the logs of real runs, and from no logs at all."""

from dataclasses import replace

import numpy as np
import pytest
from training_cases import TINY, quiet, toy_pairs

from mambadfuse.analysis.training_runs import (
    STYLES,
    common_step,
    progress,
    running_mean,
    variant_curves,
    variant_pictures,
    variant_scores,
)
from mambadfuse.metrics import EIGHT
from mambadfuse.training import run_folder


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    """A run of six steps and one of four, validated every second step."""
    folder, seen = tmp_path_factory.mktemp("variants"), []
    for name, steps, gate in (("own gates", 6, "own"), ("one gate", 4, "shared")):
        out = folder / f"{name}.safetensors"
        quiet(
            out,
            steps=steps,
            model=replace(TINY, gate=gate),
            validation=toy_pairs(2, (44, 48)),
            validate_every=2,
        )
        seen.append(progress(name, 6, run_folder(out)))
    return seen


def test_progress_is_what_the_logs_say(variants):
    first, second = variants
    np.testing.assert_array_equal(first.curve[0], range(1, 7))
    np.testing.assert_array_equal(second.curve[0], range(1, 5))
    assert list(first.scores) == [2, 4, 6]
    assert all(set(scores) == set(EIGHT) for scores in second.scores.values())


def test_variants_are_compared_at_the_last_common_step(variants):
    assert common_step(variants) == 4
    pictures, scores = variant_pictures(variants), variant_scores(variants)
    assert list(pictures) == list(scores) == ["own gates", "one gate"]
    for v in variants:
        np.testing.assert_array_equal(pictures[v.name], v.fused(4))
        assert scores[v.name] == v.scores[4]
    assert variants[0].fused(6).shape == (44, 48)


def test_a_loss_without_a_value_leaves_a_gap_no_longer_than_the_window():
    steps = np.arange(20.0)
    values = np.ones(20)
    values[5] = np.nan
    smooth = running_mean(np.stack([steps, values]), window=4)[1]
    assert np.flatnonzero(np.isnan(smooth)).tolist() == [5, 6, 7, 8]
    assert smooth[9:].tolist() == [1.0] * 11


def test_curves_are_running_means_and_scores(variants):
    loss, score = variant_curves(variants, "VIF").axes
    assert [line.get_label() for line in loss.lines] == ["own gates", "one gate"]
    for line, v in zip(loss.lines, variants, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), v.curve[0])
        means = [v.curve[1, : k + 1].mean() for k in range(v.curve.shape[1])]  # fewer than the window
        np.testing.assert_allclose(line.get_ydata(), means)
    for line, v in zip(score.lines, variants, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), list(v.scores))
        np.testing.assert_array_equal(line.get_ydata(), [s["VIF"] for s in v.scores.values()])


def test_variants_differ_without_colour():
    assert len({line for _, line, _ in STYLES}) == len({marker for *_, marker in STYLES}) == len(STYLES)


def test_a_run_that_has_not_started_is_drawn_empty(tmp_path, variants):
    new = progress("new", 6, tmp_path / "new.run")
    assert common_step([*variants, new]) is None
    assert common_step([]) is None
    assert variant_pictures([*variants, new]) == variant_scores([new]) == {}
    loss, score = variant_curves([new]).axes
    assert loss.lines[0].get_xdata().size == 0
    assert len(score.lines[0].get_xdata()) == 0


def test_what_a_crash_cut_off_is_skipped(tmp_path):
    (tmp_path / "steps.jsonl").write_text('{"step": 1, "total": 2.5}\n{"step": 2, "to')
    (tmp_path / "validation.jsonl").write_text('{"step": 1, "EN"')
    seen = progress("mine", 6, tmp_path)
    assert (seen.curve.tolist(), seen.scores) == ([[1.0], [2.5]], {})


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("steps.jsonl", '{"step": 3}\n', "at step 3 expected a number total, found none"),
        ("steps.jsonl", '{"step": 3, "total": "low"}\n', "at step 3 expected a number total, found 'low'"),
        ("steps.jsonl", '{"step": 3, "total": null}\n', "at step 3 expected a number total, found None"),
        ("steps.jsonl", "5\n{}\n", "none of its lines is a record of a step"),
        ("validation.jsonl", '{"step": 3, "EN": 7}\n', "at step 3 expected a number SD, found none"),
        ("validation.jsonl", "a picture\n", "none of its lines is a record of a step"),
    ],
)
def test_what_is_no_log_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=rf"{name}: is no log of a training run: {said}"):
        progress("mine", 6, tmp_path)
