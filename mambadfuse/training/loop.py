"""The run from its first step, or from where it was kept, to a file of weights."""

import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

import torch
from accelerate import Accelerator
from tqdm import tqdm

from mambadfuse.data.crops import PairedCrops
from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.files import atomic_write, make_folder
from mambadfuse.models.checkpoints import CheckpointError, load, save
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.training.checkpointing import Keeper, alone
from mambadfuse.training.config import TrainingConfig
from mambadfuse.training.log import RunLog
from mambadfuse.training.settings import as_yaml
from mambadfuse.training.state import TrainingState, first_weights, versions
from mambadfuse.training.step import Stepper, accelerator_for
from mambadfuse.training.validation import require_large_enough, validate


def train(
    config: TrainingConfig,
    sets: Sequence[Sequence[TrainingPair]],
    out: str | Path,
    *,
    shares: Sequence[float] | None = None,
    validation: Sequence[TrainingPair] = (),
    progress: bool = True,
) -> Path:
    """Train to the end and write the averaged weights; called again after a stop, go on where the run was kept.

    Whoever calls it, a notebook, ``notebook_launcher``, ``accelerate launch`` or ``torchrun``: the run is the same,
    and so are its weights on the same device with the same number of threads, to the last bit, however often it was
    stopped.

    Args:
        config: of the run.
        sets: groups of pairs to train on, of :func:`~mambadfuse.data.training_pairs.find_training_pairs` or in memory.
        out: file of the weights, ``*.safetensors``. Beside it, in ``*.run/``, lie the kept states, the settings
            (``config.yaml``), the logs ``steps.jsonl`` and ``validation.jsonl``, and the sheets of validation, each
            with its first fused picture alone.
        shares: how often each set is drawn, relative to the others; alike if None.
        validation: pairs to be judged by, each fused whole.
        progress: whether to show a progress bar and what happens.

    Returns:
        ``out``.

    Raises:
        ValueError: no crop can be drawn; the batch cannot be shared; ``out`` has another suffix; or the run beside
            ``out`` has another configuration or other pairs, or is damaged.
        DivergedError: the loss or its gradient is no finite number.
        BusyError: another process trains this run.
        OSError: something cannot be written; what was kept before is still there.
        KeyboardInterrupt: after Ctrl-C, or SIGTERM, once the run is kept.
    """
    out = Path(out)
    if out.suffix != ".safetensors":
        raise ValueError(f"{out}: expected the name of a .safetensors file")
    require_large_enough(validation)
    crops = PairedCrops(sets, shares, crop_sizes=config.windows, batch=config.batch, seed=config.seed)
    folder = run_folder(out)
    with accelerator_for(config, _tracked(config, folder)) as accelerator:
        run = _Run(config, crops, validation, folder, accelerator, progress)
        with run.alone():
            run.prepare()
            run.to_the_end()
            if accelerator.is_main_process:
                run.write(out)
        accelerator.wait_for_everyone()  # till all is written: one that fails in leaving makes a launcher end them all
        accelerator.end_training()
    return out


def run_folder(out: str | Path) -> Path:
    """Where the run that writes the weights ``out`` is kept."""
    return Path(out).with_suffix(".run")


class _Run:
    """One call of :func:`train`, with everything in it."""

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
            "start": first_weights(self.state.model) if config.start else "",
            "precision": accelerator.mixed_precision,
            "shares": crops.sampling_weights,
            "pairs": crops.fingerprint(),
        }
        self.keeper = Keeper(folder, identity, config.keep_last)

    def alone(self) -> AbstractContextManager[None]:
        """Keeps other calls off the folder; of several processes that share one call, the first one does so."""
        if not self.accelerator.is_main_process:
            return nullcontext()
        make_folder(self.folder)
        return alone(self.folder / ".lock", str(self.folder))

    def prepare(self) -> None:
        """Stand where the run was kept, and leave nothing in its folder that came after."""
        kept = self.keeper.newest()
        if kept:
            self.state.restore(kept.tensors, kept.facts)
            self.say(f"going on from step {self.state.step}, kept in {self.folder}")
            for name, version in versions().items():
                if kept.facts["versions"].get(name) != version:
                    self.say(
                        f"{name} was {kept.facts['versions'].get(name)}, is {version}: last bits may differ"
                    )
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.keeper.tidy()
            with atomic_write(self.folder / "config.yaml") as file:
                file.write(as_yaml(self.config).encode())
            self.log.rewind(self.state.step)
            self.scores.rewind(self.state.step)
        self.accelerator.init_trackers("tensorboard")

    def to_the_end(self) -> None:
        """All steps that are left, if any; the last one is kept, too."""
        if self.state.step == self.config.steps:
            return
        stepper = Stepper(self.config, self.state, self.crops, self.accelerator)
        begun = time.monotonic() - self.state.seconds
        kept = time.monotonic()
        with (
            _asked_to_stop() as asked,
            tqdm(
                total=self.config.steps, initial=self.state.step, unit="step", disable=not self.progress
            ) as bar,
        ):
            for record in stepper.steps():
                self.state.seconds = time.monotonic() - begun
                bar.update()
                bar.set_postfix(loss=f"{record['total']:.3f}", refresh=False)
                self._write_down(record)
                stop = self._agreed(asked.is_set())
                if (
                    stop
                    or self.state.step == self.config.steps
                    or time.monotonic() - kept > self.config.keep_seconds
                ):
                    self._keep()
                    kept = time.monotonic()
                if stop and self.state.step < self.config.steps:
                    self.say(
                        f"stopped and kept at step {self.state.step}; the same call or command goes on from there"
                    )
                    raise KeyboardInterrupt

    def write(self, out: Path) -> None:
        """The averaged weights, unless ``out`` holds them already."""
        averaged = self.state.averaged().cpu()
        if _holds(out, averaged):
            self.say(f"this run is finished: {self.config.steps} steps, weights in {out}")
        else:
            save(averaged, out)

    def say(self, text: str) -> None:
        """One line for the person who watches."""
        if self.progress:
            tqdm.write(text, file=sys.stderr)

    def _write_down(self, record: dict[str, float]) -> None:
        """Log this step, and validate after it, if it is their turn."""
        c, step, last = self.config, self.state.step, self.state.step == self.config.steps
        if self.accelerator.is_main_process and (step % c.log_every == 0 or last):
            self.log.write(step=step, **record, seconds=round(self.state.seconds, 2))
            self.accelerator.log({f"train/{name}": value for name, value in record.items()}, step)
        if self.validation and (step % c.validate_every == 0 or last):
            sheet = self.folder / f"validation_{step:08d}.png"
            scores = validate(self.state.averaged(), self.validation, c.loss, self.accelerator, sheet)
            if self.accelerator.is_main_process:
                self.scores.write(step=step, **scores)
                self.accelerator.log({f"validation/{name}": value for name, value in scores.items()}, step)

    def _agreed(self, stop: bool) -> bool:
        """Whether any process is asked to stop: all must stop at the same step."""
        if self.accelerator.num_processes == 1:
            return stop
        if stop:
            self.accelerator.set_trigger()
        return bool(self.accelerator.check_trigger())

    def _keep(self) -> None:
        if self.accelerator.is_main_process:
            self.keeper.keep(self.state.step, self.state.tensors(), self.state.facts())


def _holds(out: Path, model: MambaDFuse) -> bool:
    """Whether a file holds this network and its weights, to the last bit."""
    try:
        there = load(out)
    except CheckpointError:
        return False
    wanted = model.state_dict()
    same = there.config == model.config and there.state_dict().keys() == wanted.keys()
    return same and all(torch.equal(tensor, wanted[name]) for name, tensor in there.state_dict().items())


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """An event that is set by Ctrl-C or SIGTERM, so that a run stops between two steps; a second one stops at once."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():  # only there can signals be caught
        yield asked
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tracked(config: TrainingConfig, folder: Path) -> str | None:
    """Where TensorBoard's files go, if it is wanted."""
    if not config.tensorboard:
        return None
    if not find_spec("tensorboard") and not find_spec("tensorboardX"):
        raise ValueError("tensorboard is true, but it is not installed: pip install tensorboard")
    return str(folder)
