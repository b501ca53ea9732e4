"""A training run from its first step, or its latest checkpoint, to a file of weights."""

import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from tqdm import tqdm

from mambadfuse.components import name_components
from mambadfuse.data.crops import PairedCrops
from mambadfuse.data.remarks import first_of_each_kind
from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.files import atomic_write, made_folder
from mambadfuse.models.checkpoints import CheckpointError, Network, load, save, weights_digest
from mambadfuse.training.checkpointing import CheckpointManager, checkpoints_in, exclusive
from mambadfuse.training.code import RunCode, code_of
from mambadfuse.training.config import TrainingConfig
from mambadfuse.training.estimate import require_memory
from mambadfuse.training.log import RunLog
from mambadfuse.training.settings import as_yaml
from mambadfuse.training.state import TrainingState, versions
from mambadfuse.training.step import TrainingSteps, accelerator_for, crops_for
from mambadfuse.training.validation import require_large_enough, validate


def train(
    config: TrainingConfig,
    sets: Sequence[Sequence[TrainingPair]],
    out: str | Path,
    *,
    sampling_weights: Sequence[float] | None = None,
    validation: Sequence[TrainingPair] = (),
    progress: bool = True,
    other_code: bool = False,
) -> Path:
    """Train to the last step and write the averaged weights; called again after an interruption, it resumes.

    It may be called from a notebook, ``notebook_launcher``, ``accelerate launch`` or ``torchrun``. On the same device
    with the same number of threads the weights are the same to the last bit, however often the run was interrupted.

    >>> from tempfile import TemporaryDirectory
    >>> from mambadfuse.data.synthetic import synthetic_pair
    >>> from mambadfuse.data.training_pairs import ArrayPair
    >>> from mambadfuse.training import configure
    >>> made = [synthetic_pair(seed, (32, 32)) for seed in range(3)]
    >>> grey = [[(255 * side).astype("uint8") for side in (pair.a, pair.b)] for pair in made]
    >>> pairs = [ArrayPair(f"pair {seed}", a, b) for seed, (a, b) in enumerate(grey)]
    >>> config = configure("ivf", "minutes", overrides=["steps=2", "batch=1", "crop_sizes=16x16", "device=cpu"])
    >>> with TemporaryDirectory() as folder:
    ...     train(config, [pairs], f"{folder}/mine.safetensors", progress=False).name
    'mine.safetensors'

    Args:
        config: of the run.
        sets: groups of pairs, from :func:`~mambadfuse.data.training_pairs.find_training_pairs` or in memory.
        out: file for the weights, ``*.safetensors``. The folder ``*.run/`` beside it holds the checkpoints, the
            settings (``config.yaml``), the logs ``steps.jsonl`` and ``validation.jsonl``, and for each validation a
            contact sheet and the first fused image.
        sampling_weights: how often each set is drawn, relative to the others; equal if None.
        validation: pairs to validate on, each fused whole.
        progress: whether to show a progress bar and messages.
        other_code: whether to resume even if the code of the run has changed since its last checkpoint
            (:mod:`mambadfuse.training.code`).

    Returns:
        ``out``.

    Raises:
        ValueError: no crop can be drawn; the batch cannot be divided among processes; ``out`` has another suffix, is a
            folder, or is a file with no checkpoint of a run beside it; or that run has another configuration, other
            pairs or, unless ``other_code``, other code, or is damaged.
        MemoryError: a step takes more memory than is free.
        DivergedError: the loss or its gradient is not finite.
        BusyError: another process is training this run.
        OSError: a file cannot be written; earlier checkpoints are untouched.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once a checkpoint is saved.
    """
    out = Path(out)
    if out.suffix != ".safetensors":
        raise ValueError(f"{out}: expected the name of a .safetensors file")
    if out.is_dir():
        raise ValueError(f"{out}: is a folder, expected the name of a file")
    require_large_enough(validation)
    name_components(asdict(config))  # imported anew if they have changed since an earlier run of this process
    crops = crops_for(config, sets, sampling_weights)
    folder = run_folder(out)
    if out.exists() and not checkpoints_in(folder):
        raise ValueError(
            f"{out}: exists, and {folder.name} beside it, with a checkpoint of the run that made it, does not. Choose "
            "another name for the weights, or move the file away"
        )
    with accelerator_for(config, _tracking_folder(config, folder)) as accelerator:
        require_memory(config, accelerator)
        run = _Run(config, crops, validation, folder, accelerator, progress)
        with run.locked(), first_of_each_kind():
            run.resume(other_code)
            run.train()
            if accelerator.is_main_process:
                run.save_weights(out)
        accelerator.wait_for_everyone()  # until all is written: launchers kill all processes if one fails
        accelerator.end_training()
    return out


def run_folder(out: str | Path) -> Path:
    """The folder with the checkpoints and logs of the run that writes the weights ``out``."""
    return Path(out).with_suffix(".run")


class _Run:
    """One call of :func:`train`."""

    def __init__(
        self,
        config: TrainingConfig,
        crops: PairedCrops,
        validation: Sequence[TrainingPair],
        folder: Path,
        accelerator: Accelerator,
        progress: bool,
    ) -> None:
        self.config, self.crops, self.validation, self.accelerator = config, crops, validation, accelerator
        self.folder, self.progress = folder, progress and accelerator.is_main_process
        self.log, self.scores = RunLog(folder / "steps.jsonl"), RunLog(folder / "validation.jsonl")
        self.state = TrainingState(config, accelerator.device)
        identity = config.identity() | {
            "init_from": weights_digest(self.state.model) if config.init_from else "",
            "teacher": weights_digest(load(config.teacher)) if config.teacher else "",
            "precision": accelerator.mixed_precision,
            "sampling_weights": crops.sampling_weights,
            "pairs": crops.fingerprint(),
        }
        self.code = code_of(config)
        self.checkpoints = CheckpointManager(folder, identity, config.keep_checkpoints)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other calls out of the folder; of the processes that share this call, the main one holds the lock.

        If it ends before the first step, nothing is left of a folder that it has made and locked.
        """
        if not self.accelerator.is_main_process:
            yield
            return
        new, held = not self.folder.exists(), False
        with made_folder(self.folder):
            try:
                with exclusive(self.folder / ".lock", str(self.folder)):
                    held = True
                    yield
            finally:
                if new and held and not self.state.step:
                    shutil.rmtree(self.folder, ignore_errors=True)

    def resume(self, other_code: bool) -> None:
        """Restore the latest checkpoint, if any, and remove from the folder whatever came after it."""
        checkpoint = self.checkpoints.latest()
        if checkpoint:
            self._require_same_code(checkpoint.metadata, other_code)
            self.state.restore(checkpoint.tensors, checkpoint.metadata)
            self.say(f"resuming from step {self.state.step}, checkpoint in {self.folder}")
            before = checkpoint.metadata["versions"]
            for name, version in versions().items():
                if before.get(name) != version:
                    self.say(f"{name} was {before.get(name)}, is {version}: last bits may differ")
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.checkpoints.clean_up()
            with atomic_write(self.folder / "config.yaml") as file:
                file.write(as_yaml(self.config).encode())
            self.log.rewind(self.state.step)
            self.scores.rewind(self.state.step)
        self.accelerator.init_trackers("tensorboard")

    def train(self) -> None:
        """Take all remaining steps, if any, with a checkpoint after the last one."""
        last = self.config.steps
        if self.state.step == last:
            return
        steps = TrainingSteps(self.config, self.state, self.crops, self.accelerator)
        started = time.monotonic() - self.state.seconds
        saved = time.monotonic()
        with (
            _interrupted() as interrupted,
            tqdm(total=last, initial=self.state.step, unit="step", disable=not self.progress) as bar,
        ):
            for record in steps:
                self.state.seconds = time.monotonic() - started
                bar.update()
                bar.set_postfix(loss=f"{record['total']:.3f}", refresh=False)
                self._log(record)
                self._validate()
                stop = self._any_process(interrupted.is_set())
                due = time.monotonic() - saved > self.config.checkpoint_seconds
                if stop or due or self.state.step == last:
                    self._save_checkpoint()
                    saved = time.monotonic()
                if stop and self.state.step < last:
                    self.say(
                        f"stopped at step {self.state.step}, checkpoint saved; "
                        "repeat the call or command to resume"
                    )
                    raise KeyboardInterrupt

    def save_weights(self, out: Path) -> None:
        """Write the averaged weights, unless ``out`` holds them already."""
        model = self.state.ema_model().cpu()
        if _holds(out, model):
            self.say(f"this run is finished: {self.config.steps} steps, weights in {out}")
        else:
            save(model, out)

    def say(self, text: str) -> None:
        """Print a line above the progress bar, on stderr."""
        if self.progress:
            tqdm.write(text, file=sys.stderr)

    def _require_same_code(self, metadata: dict[str, Any], other_code: bool) -> None:
        changes = self.code.changes_from(RunCode.from_dict(metadata.get("code", {})))
        if not changes:
            return
        if not other_code:
            raise ValueError(
                f"{self.folder}: the code has changed since step {metadata['step']}: {changes}. Choose another name "
                "for the weights, delete the folder, or resume with the new code: --other-code on the command line, "
                "other_code=True in Python"
            )
        self.say(f"resumes with different code: {changes}")

    def _due(self, every: int) -> bool:
        return self.state.step % every == 0 or self.state.step == self.config.steps

    def _log(self, record: dict[str, float]) -> None:
        if self.accelerator.is_main_process and self._due(self.config.log_every):
            step = self.state.step
            self.log.write(step=step, **record, seconds=round(self.state.seconds, 2))
            self.accelerator.log({f"train/{name}": value for name, value in record.items()}, step)

    def _validate(self) -> None:
        if not self.validation or not self._due(self.config.validate_every):
            return
        step = self.state.step
        sheet = self.folder / f"validation_{step:08d}.png"
        scores = validate(self.state.ema_model(), self.validation, self.config.loss, self.accelerator, sheet)
        if self.accelerator.is_main_process:
            self.scores.write(step=step, **scores)
            self.accelerator.log({f"validation/{name}": value for name, value in scores.items()}, step)

    def _any_process(self, stop: bool) -> bool:
        """Whether any process was asked to stop: all must stop at the same step."""
        if self.accelerator.num_processes == 1:
            return stop
        if stop:
            self.accelerator.set_trigger()
        return bool(self.accelerator.check_trigger())

    def _save_checkpoint(self) -> None:
        if self.accelerator.is_main_process:
            metadata = self.state.metadata() | {"code": self.code.to_dict()}
            self.checkpoints.save(self.state.step, self.state.tensors(), metadata)


def _holds(out: Path, model: Network) -> bool:
    """Whether a file holds this network with the same weights, to the last bit, and the same contrast."""
    try:
        there = load(out)
    except CheckpointError:
        return False
    expected = model.state_dict()
    same = (there.config, there.contrast) == (model.config, model.contrast)
    same = same and there.state_dict().keys() == expected.keys()
    return same and all(torch.equal(tensor, expected[name]) for name, tensor in there.state_dict().items())


@contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """An event set by Ctrl-C or SIGTERM, so that a run can stop between two steps; a second signal stops it at once."""
    interrupted = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield interrupted
        return
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tracking_folder(config: TrainingConfig, folder: Path) -> str | None:
    """Where TensorBoard files go, None if they are not wanted."""
    if not config.tensorboard:
        return None
    if not find_spec("tensorboard") and not find_spec("tensorboardX"):
        raise ValueError("tensorboard is true, but it is not installed: pip install tensorboard")
    return str(folder)
