"""Runs as jobs: two local processes of submitit give the results of one process."""

import builtins
import sys

import pytest
import torch
from ablation_cases import TABLE, comparable, experiment

from mambadfuse.ablation import Row, pending_runs
from mambadfuse.ablation.cluster import submit_all

ROWS = [TABLE["default"], TABLE["norm-once"]]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="submitit's local jobs need POSIX")
def test_local_jobs_find_what_one_process_finds(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="the extra 'cluster' is not installed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    alone, apart = experiment(tmp_path / "alone"), experiment(tmp_path / "apart")
    wrong = Row("too-large", "?", {"crop_sizes": "64x64"})  # no toy is as large
    runs, _ = pending_runs(apart, [*ROWS, wrong], [0])
    said = []
    problems = submit_all(apart, runs, "local", say=said.append, timeout_min=5)
    assert len(said) == 3
    assert len(problems) == 1
    assert problems[0].startswith("too-large, seed 0: none of 3 pairs")
    found = {result.row: comparable(result) for result in apart.store.results()}
    assert found == {row.name: comparable(alone.run(row, 0)) for row in ROWS}


def test_without_submitit_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "submitit":
            raise ImportError
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install submitit"):
        submit_all(experiment(tmp_path), [])


def test_an_unknown_cluster_is_refused(tmp_path):
    pytest.importorskip("submitit", reason="the extra 'cluster' is not installed")
    with pytest.raises(ValueError, match="unknown cluster 'cloud': choose slurm or local"):
        submit_all(experiment(tmp_path), [], "cloud")
