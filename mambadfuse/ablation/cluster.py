"""Runs of an ablation as jobs, submitted by submitit to a Slurm cluster or to processes on this machine."""

from collections.abc import Callable, Iterable
from typing import Literal

from mambadfuse.ablation.experiment import Experiment
from mambadfuse.ablation.runner import Run, try_run


def submit_all(
    experiment: Experiment,
    runs: Iterable[Run],
    cluster: Literal["slurm", "local"] = "slurm",
    say: Callable[[str], None] = print,
    **parameters: object,
) -> list[str]:
    """Submit every run as a job and wait for all of them; the failure of one does not stop the others.

    Jobs and this process share the folder ``experiment.out``, which holds the checkpoints: the same call resumes runs
    that hit a time limit or lost their node. To train one row on several GPUs, use ``accelerate launch`` instead.

    Args:
        experiment: what the runs have in common; its pairs must be readable from every node.
        runs: rows and seeds.
        cluster: "slurm", or "local" for processes on this machine.
        say: called with one line for every job.
        **parameters: of submitit, such as ``timeout_min=120, slurm_partition="gpu", gpus_per_node=1``.

    Returns:
        One line for each run without a result, saying what went wrong.

    Raises:
        ImportError: submitit is not installed.
        ValueError: there is no such cluster.
    """
    try:
        import submitit
    except ImportError as error:
        raise ImportError("submitit is not installed: pip install submitit") from error
    if cluster not in ("slurm", "local"):
        raise ValueError(f"unknown cluster {cluster!r}: choose slurm or local")
    executor = submitit.AutoExecutor(folder=experiment.out / "jobs", cluster=cluster)
    executor.update_parameters(name="ablation", **{"timeout_min": 24 * 60, **parameters})
    runs = list(runs)
    with executor.batch():  # one job array
        jobs = [executor.submit(try_run, experiment, run) for run in runs]
    problems = []
    for run, job in zip(runs, jobs, strict=True):
        failure = job.exception()
        outcome = f"job {job.job_id} was lost, see {job.paths.stderr}" if failure else job.result()
        problems += [f"{run}: {outcome}"] if outcome else []
        say(f"job {job.job_id}, {run}: {outcome or 'done'}")
    return problems
