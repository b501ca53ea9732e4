"""Weights that are kept: beside the results, loadable, scored again without training, and shown."""

import shutil

import numpy as np
import pytest
import torch
from ablation_cases import TABLE, experiment
from matplotlib.figure import Figure
from training_cases import toy_pairs, write_folders

import mambadfuse as mdf
from mambadfuse import cli
from mambadfuse.ablation import Experiment, kept_weights
from mambadfuse.ablation import experiment as one_run
from mambadfuse.ablation.scoring import score
from mambadfuse.analysis.ablation_pictures import fused_pictures

ROWS = ("default", "norm-once")


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Experiment:
    torch.set_num_threads(1)
    mine = experiment(tmp_path_factory.mktemp("kept"), keep_weights=True)
    for row in ROWS:
        mine.run(TABLE[row], 3)
    return mine


def test_weights_lie_beside_the_results_named_by_row_and_seed(kept):
    files = sorted(path.name for path in (kept.out / "weights").iterdir())
    assert [name.rpartition("-")[0] for name in files] == ["default-3", "norm-once-3"]
    assert not [path for path in kept.out.glob("runs/*") if path.is_dir()]
    assert not kept.out.is_absolute() or str(kept.out) not in kept.store.path.read_text()


def test_they_are_the_weights_that_were_scored(kept):
    [result] = [one for one in kept.results() if one.row == "norm-once"]
    network = mdf.load(kept.out / result.weights)
    assert network.config.norm_passes == 1
    again = score(network, kept.validation, kept.metrics)
    assert again.scores["toy_0"] == pytest.approx(result.scores["toy_0"], rel=1e-4)


def test_other_metrics_are_scored_without_training(kept, tmp_path, monkeypatch):
    monkeypatch.setattr(one_run, "train", None)
    shutil.copytree(kept.out, tmp_path, dirs_exist_ok=True)
    other = experiment(tmp_path, metrics=("halo", "MSE"))
    result = other.run(TABLE["default"], 3)
    assert list(result.means) == ["halo", "MSE"]
    assert other.stored_result(TABLE["default"], 3).scores == result.scores
    assert result.curve == kept.stored_result(TABLE["default"], 3).curve


def test_a_run_that_was_stored_without_weights_is_trained_once_more(tmp_path):
    experiment(tmp_path).run(TABLE["default"], 0)
    mine = experiment(tmp_path, keep_weights=True)
    assert mine.stored_result(TABLE["default"], 0) is None
    result = mine.run(TABLE["default"], 0)
    assert mine.stored_result(TABLE["default"], 0) == result
    (tmp_path / result.weights).unlink()
    assert mine.stored_result(TABLE["default"], 0) is None
    assert experiment(tmp_path).stored_result(TABLE["default"], 0) is not None


def test_the_seed_that_most_rows_have_is_shown(kept):
    results = kept.results()
    assert list(kept_weights(results, kept.out)) == list(ROWS)
    assert kept_weights(results, kept.out / "elsewhere") == {}


def test_pictures_are_those_of_the_networks_and_large_enough_to_see(kept):
    pairs = toy_pairs(2, (44, 48))
    weights = kept_weights(kept.results(), kept.out)
    figure = fused_pictures(weights, pairs)
    assert isinstance(figure, Figure)
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["toy_0: a", "b", *ROWS, "toy_1: a", "b", *ROWS]
    shown = np.asarray(figure.axes[3].images[0].get_array())
    assert (shown == mdf.fuse(*pairs[0].pictures(), model=weights["norm-once"])).all()
    figure.draw_without_rendering()
    assert min(axes.get_window_extent().width / figure.dpi for axes in figure.axes) > 2.5
    with pytest.raises(ValueError, match="found 2 pairs and weights of 0 rows"):
        fused_pictures({}, pairs)


def test_the_report_draws_them(kept, tmp_path, capsys):
    judged = write_folders(tmp_path / "j", toy_pairs(2, (44, 48)))
    drawn, page = tmp_path / "pictures.png", tmp_path / "page.html"
    report = ["ablate", "--report", str(kept.out), "--validate", *judged]
    assert cli.main([*report, "--pictures", str(drawn), "--html", str(page)]) == 0
    assert drawn.read_bytes().startswith(b"\x89PNG")
    assert 'alt="pictures"' in page.read_text()


def test_a_report_without_kept_weights_says_so(tmp_path, capsys):
    assert cli.main(["ablate", "--report", "shipped", "--pictures", str(tmp_path / "x.png")]) == 1
    assert "holds no weights of these results; train with --keep-weights" in capsys.readouterr().err
