"""The ablation lab without a browser: what it shows while rows train, and that nothing outlives it."""

import asyncio
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from panel_cases import workers
from training_cases import toy_pairs

from mambadfuse.ablation import Experiment, Store, read_table
from mambadfuse.widgets import AblationLab
from mambadfuse.widgets.lab import CURVES, Clock

pytestmark = pytest.mark.slow

TABLE = read_table()
TINY = (
    "steps=30", "batch=2", "crop_sizes=16x16", "model.dim=4", "model.state=2", "model.extraction_depth=1",
    "model.reconstruction_depth=1",
)  # fmt: skip
PATIENCE = 900  # seconds, on a busy machine


def experiment(out: Path, *settings: str) -> Experiment:
    return Experiment([toy_pairs()], toy_pairs(2, (48, 56)), out, settings=(*TINY, *settings))


@asynccontextmanager
async def opened(out: Path, *settings: str):
    """A lab beside an event loop, as in the kernel of a notebook; closed in any case."""
    e = experiment(out, *settings)
    lab = AblationLab(e.sets, e.validation, out=out, settings=e.settings)
    try:
        yield lab
    finally:
        lab.close()


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


def test_rows_train_pause_and_resume_to_the_results_of_the_command(tmp_path):
    async def scenario():
        async with opened(tmp_path / "lab") as lab:
            lab.trainer.click()
            assert lab.text == "default: starting; gate-shared: starting"
            assert lab.trainer.disabled
            assert all(tick.disabled for tick in lab.ticks.values())
            await until(lambda: "training, step" in lab.text)
            lab.pauser.click()
            await until(lambda: not lab.trainer.disabled)
            assert not workers()
            lab.trainer.click()
            await until(lambda: lab.text.count("finished, step 30 of 30") == 2)
            assert "after step 30" in lab.table.value
            assert [w.value.count("data:image/png") for w in lab.gallery.children] == [1] * 4
            assert 'alt="gate-shared"' in lab.gallery.children[3].value
            homes = [run.home for run in lab.runs]
            await until(lab.watching.done)
        assert not any(home.exists() for home in homes)

    asyncio.run(scenario())
    stored = Store(tmp_path / "lab" / "results.jsonl").results()
    plain = experiment(tmp_path / "plain")
    for result in stored:
        expected = plain.run(TABLE[result.row], 0)
        assert (result.setting, result.scores, result.config) == (
            expected.setting,
            expected.scores,
            expected.config,
        )
    assert {result.row for result in stored} == {"default", "gate-shared"}


def test_stop_and_close_end_all_processes_at_once(tmp_path):
    async def scenario():
        async with opened(tmp_path, "steps=100000") as lab:
            lab.trainer.click()
            homes = [run.home for run in lab.runs]
            assert len(workers()) == 2
            lab.stopper.click()
            assert lab.text.startswith("Stopped. ")
            assert not workers()
            assert not any(home.exists() for home in homes)
            assert not lab.trainer.disabled
            await until(lab.watching.done)
            assert lab.text.startswith("Stopped. ")
            lab.trainer.click()
            assert len(workers()) == 2
            lab.closer.click()
            assert not workers()

    asyncio.run(scenario())
    assert not Store(tmp_path / "results.jsonl").results()


def test_a_cell_that_is_run_again_leaves_no_training_behind(tmp_path):
    async def scenario():
        async with opened(tmp_path, "steps=100000") as first:
            first.trainer.click()
            async with opened(tmp_path):
                assert not workers()
                assert first.text == "Stopped: another lab was opened."

    asyncio.run(scenario())


def test_what_went_wrong_in_a_process_is_shown_in_the_panel(tmp_path):
    async def scenario():
        async with opened(tmp_path, "learning_rate=1e30") as lab:
            lab.trainer.click()
            await until(lambda: lab.text.count("failed") == 2)
            assert "gate-shared failed: the " in lab.text
            assert "at step" in lab.text
            assert not lab.trainer.disabled

    asyncio.run(scenario())


def test_a_number_of_rows_that_cannot_be_told_apart_is_refused(tmp_path):
    async def scenario():
        async with opened(tmp_path) as lab:
            for tick in lab.ticks.values():
                tick.value = True
            lab.trainer.click()
            assert lab.text == f"Error: tick 2 to 6 rows, found {len(TABLE)}"
            assert not lab.runs

    asyncio.run(scenario())


def test_a_row_that_changes_nothing_is_no_row(tmp_path):
    async def scenario():
        async with opened(tmp_path) as lab:
            lab.ticks["gate-shared"].value, lab.ticks["depth-half"].value = False, True
            lab.trainer.click()
            assert lab.text == "Error: depth-half changes nothing at the budget minutes"
            assert not lab.runs

    asyncio.run(scenario())


def test_pairs_too_small_to_be_judged_by_are_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match="toy_0: is 34x20, validation scores need at least 41"):
        AblationLab([toy_pairs()], toy_pairs(), out=tmp_path)


KERNEL = """
import sys
from mambadfuse.ablation.background_runs import Job, BackgroundRun
from test_lab import TABLE, Path, experiment
run = BackgroundRun(Job(experiment(Path(sys.argv[1]), "steps=100000"), TABLE["default"], 0))
run.train()
print(run.home, flush=True)
sys.stdin.read()
"""


def test_a_kernel_that_is_killed_leaves_neither_process_nor_file(tmp_path):
    kernel = subprocess.Popen(
        [sys.executable, "-c", KERNEL, str(tmp_path)],
        cwd=Path(__file__).parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    home = Path(kernel.stdout.readline().strip())
    processes = psutil.Process(kernel.pid).children()
    assert len(processes) == 1
    assert home.is_dir()
    kernel.kill()
    kernel.communicate()
    assert not psutil.wait_procs(processes, PATIENCE)[1]
    assert not home.exists()


def test_seeds_follow_one_another_and_their_differences_have_intervals(tmp_path):
    async def scenario():
        async with opened(tmp_path) as lab:
            lab.seeds.value = 2
            lab.trainer.click()
            assert lab.text == "default: starting; gate-shared: starting"
            assert lab.forecast.value == "Seed 1 of 2."
            assert lab.view.value == CURVES
            assert lab.gallery.layout.display == "none"
            await until(lambda: "Seed 2 of 2." in lab.forecast.value and lab.text.count("finished") == 2)
            assert 'gate-shared</th><td style="padding' in lab.results.value
            assert "not learnt" in lab.results.value  # after thirty steps
            lab.stopper.click()
            lab.trainer.click()
            assert (
                lab.text == "Error: all of these results are stored already: choose more seeds or other rows"
            )

    asyncio.run(scenario())
    stored = Store(tmp_path / "results.jsonl").results()
    assert sorted((result.row, result.seed) for result in stored) == [
        ("default", 0), ("default", 1), ("gate-shared", 0), ("gate-shared", 1),
    ]  # fmt: skip


def test_nothing_can_be_trained_without_a_row(tmp_path):
    async def scenario():
        async with opened(tmp_path) as lab:
            assert not lab.trainer.disabled
            lab.ticks["default"].value = lab.ticks["gate-shared"].value = False
            assert lab.trainer.disabled
            assert lab.forecast.value == "Tick the rows to train."

    asyncio.run(scenario())


def test_the_time_is_foretold_and_a_budget_that_takes_too_long_is_warned_of(tmp_path):
    async def scenario():
        async with opened(tmp_path / "short") as lab:
            assert re.fullmatch(r"About \d+ (s|min) for 2 runs\.", lab.forecast.value)
            lab.seeds.value = 3
            assert "for 6 runs." in lab.forecast.value
        async with opened(tmp_path / "long", "steps=1000000000") as lab:
            assert 'role="alert"' in lab.forecast.value
            assert "too large for this device" in lab.forecast.value

    asyncio.run(scenario())


def test_a_clock_counts_what_is_left_without_the_pauses(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("mambadfuse.widgets.lab.time.monotonic", lambda: now[0])
    clock = Clock(seeds=2)
    now[0] = 100.0
    assert clock.left(0.5, running=True) == "About 5 min left."
    now[0] = 5000.0
    assert clock.left(0.5, running=False) == ""
    assert clock.left(0.5, running=True) == "About 5 min left."
    assert clock.which == "Seed 1 of 2."
