"""One step of training on whatever device, in whatever precision, in however many parts and processes."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from torch.utils.data import DataLoader

from mambadfuse.data.crops import Crop, PairedCrops, StepSampler
from mambadfuse.losses.fusion_loss import LossTerms
from mambadfuse.training.config import TrainingConfig
from mambadfuse.training.state import TrainingState

if torch.distributed.is_available():
    # DDP would import this later, when its default arguments hold the process group and keep it alive: then threads of
    # gloo outlive the run, and one of them that wants the interpreter while that is ending aborts the process.
    import torch.distributed.nn.functional


class DivergedError(RuntimeError):
    """The loss or its gradient is no finite number; the message names the step and the pairs of its crops."""


@contextmanager
def accelerator_for(config: TrainingConfig, tracked_in: str | None = None) -> Iterator[Accelerator]:
    """The Accelerator that a configuration asks for; afterwards another one can be made in the same process.

    Args:
        config: its device, precision and parts of a batch.
        tracked_in: a folder for TensorBoard; None without it.
    """
    on_gpu = torch.cuda.is_available() and config.device == "auto"
    in_bf16 = config.precision == "bf16" or (config.precision == "auto" and on_gpu and _computes_bf16())
    warnings.filterwarnings("ignore", "Grad strides do not match")  # a hint on speed, once for each process
    try:
        yield Accelerator(
            cpu=not on_gpu,
            mixed_precision="bf16" if in_bf16 else "no",
            gradient_accumulation_steps=config.accumulate,
            log_with="tensorboard" if tracked_in else None,
            project_dir=tracked_in,
        )
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def _computes_bf16() -> bool:
    """Whether the GPU does, from Ampere on; older ones emulate it, slowly."""
    return torch.cuda.get_device_capability() >= (8, 0)


class Stepper:
    """Steps of one run, from the state it is in.

        g = ∇ loss(network(a, b), a, b);   g ← g min(1, clip / ‖g‖);   W ← Adam(W, g, rate(step));   E ← average(E, W)

    A term of the loss may look at the whole batch, as the published α does. So every process computes the loss of
    all crops, its own fused ones with gradients, those of the others as numbers; the mean of the processes'
    gradients, times their number, is then the gradient of the whole batch. The parts of an accumulated batch are
    batches of their own in this respect: their mean loss is followed.

    Args:
        config: of the run.
        state: advanced by each step.
        crops: of the run.
        accelerator: of the run.
    """

    def __init__(
        self, config: TrainingConfig, state: TrainingState, crops: PairedCrops, accelerator: Accelerator
    ) -> None:
        self.config, self.state, self.crops, self.accelerator = config, state, crops, accelerator
        self.network, self.optimiser = accelerator.prepare(state.model, state.optimiser)

    def steps(self) -> Iterator[dict[str, float]]:
        """Takes step after step up to the last; yields the loss terms, the gradient's norm and the rate of each.

        Raises:
            DivergedError: the loss or the gradient is not finite; the weights are those before the step.
            ValueError: the batch cannot be shared evenly among the processes.
        """
        parts = iter(self._loader())
        while self.state.step < self.config.steps:
            yield self._step(islice(parts, self.config.accumulate))

    def _loader(self) -> DataLoader[Crop]:
        c, here = self.config, self.accelerator
        steps = range(self.state.step, c.steps)
        return DataLoader(
            self.crops,
            batch_sampler=StepSampler(c.batch, steps, c.accumulate, here.process_index, here.num_processes),
            num_workers=c.workers,
            pin_memory=here.device.type == "cuda",
            generator=torch.Generator(),  # leaves the global one alone
        )

    def _step(self, parts: Iterator[Crop]) -> dict[str, float]:
        self.network.train()
        record = dict.fromkeys(LossTerms._fields, 0.0)
        record["learning_rate"] = float(self.state.schedule.get_last_lr()[0])
        for part in parts:
            with self.accelerator.accumulate(self.network):
                terms = self._loss(part)
                for name, value in terms._asdict().items():
                    record[name] += float(value.detach()) / self.config.accumulate
                self._require_finite("loss", record["total"])
                self.accelerator.backward(terms.total * self.accelerator.num_processes)
                if self.accelerator.sync_gradients:
                    record["gradient_norm"] = self._clip()
                self.optimiser.step()
                self.optimiser.zero_grad()
        self.state.schedule.step()
        self.state.average.update_parameters(self.state.model)
        self.state.step += 1
        return record

    def _clip(self) -> float:
        """The norm of the gradient, before it is cut."""
        norm = float(self.accelerator.clip_grad_norm_(self.network.parameters(), self.config.clip))
        self._require_finite("gradient", norm)
        return norm

    def _loss(self, crop: Crop) -> LossTerms:
        device = self.accelerator.device
        a, b = (side.to(device, non_blocking=True) for side in (crop.a, crop.b))  # (B, 1, h, w)
        fused = self.network(a, b)
        if self.accelerator.num_processes > 1:
            fused, a, b = self._with_gradient(fused), self._gathered(a), self._gathered(b)
        return self.config.loss(fused, a, b)

    def _gathered(self, x: Tensor) -> Tensor:
        """Those of all processes, one after the other: (B, ...) -> (processes B, ...)."""
        gathered: Tensor = self.accelerator.gather(x.detach().contiguous())
        return gathered

    def _with_gradient(self, fused: Tensor) -> Tensor:
        """As :meth:`_gathered`, but this process's own ones are differentiable."""
        pictures = list(self._gathered(fused).split(len(fused)))
        pictures[self.accelerator.process_index] = fused
        return torch.cat(pictures)

    def _require_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            names = ", ".join(sorted(set(self.crops.names(self.state.step))))
            raise DivergedError(
                f"the {what} is {value} at step {self.state.step}, whose crops are from {names}. "
                "Look at these pictures; if they are sound, begin another run, with a lower learning_rate or clip"
            )
