"""Training steps: crops, loss, gradient, update, on any device and in any precision, with one process or several."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin
from torch import Tensor
from torch.utils.data import DataLoader

from mambadfuse.data.crops import Crop, PairedCrops, StepSampler
from mambadfuse.data.scenes import with_scenes
from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.losses import build_loss
from mambadfuse.models.checkpoints import load
from mambadfuse.training.config import TrainingConfig
from mambadfuse.training.state import TrainingState

if torch.distributed.is_available():
    # DDP imports this on first use. Its default arguments would then capture the process group and keep it alive, so
    # that gloo threads outlive the run; one that needs the GIL while Python shuts down aborts the process.
    import torch.distributed.nn.functional


TURNS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x.flip(3),
    lambda x: x.flip(2),
    lambda x: x.flip(2, 3),
    lambda x: x.transpose(2, 3),
    lambda x: x.transpose(2, 3).flip(2, 3),
)
"""Five orientations of images (B, C, H, W), each its own inverse."""

MOVES = ((0, 1), (1, 0), (1, 1))
"""Rows and columns by which a camera moves from one frame to the next."""

_NOISE = 2.0  # standard deviation, in grey levels, of what a frame has and the next one has not


class DivergedError(RuntimeError):
    """The loss or its gradient is not finite; the message names the step and the pairs of its crops."""


@contextmanager
def accelerator_for(config: TrainingConfig, tracking_folder: str | None = None) -> Iterator[Accelerator]:
    """The Accelerator for a configuration; reset on exit, so that the same process can create another one.

    Args:
        config: its device, precision and accumulation are used.
        tracking_folder: where TensorBoard files go; None for no TensorBoard.
    """
    on_gpu = torch.cuda.is_available() and config.device == "auto"
    in_bf16 = config.precision == "bf16" or (config.precision == "auto" and on_gpu and _supports_bf16())
    warnings.filterwarnings("ignore", "Grad strides do not match")  # a performance hint, once per process
    try:
        yield Accelerator(
            cpu=not on_gpu,
            mixed_precision="bf16" if in_bf16 else "no",
            # an environment variable would take precedence over gradient_accumulation_steps
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=config.accumulate),
            log_with="tensorboard" if tracking_folder else None,
            project_dir=tracking_folder,
        )
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def _supports_bf16() -> bool:
    """Whether the GPU computes in bf16, from Ampere on; older ones emulate it slowly."""
    return torch.cuda.get_device_capability() >= (8, 0)


def crops_for(
    config: TrainingConfig,
    sets: Sequence[Sequence[TrainingPair]],
    sampling_weights: Sequence[float] | None = None,
) -> PairedCrops:
    """The crops of a run, from the pairs and from the share of made-up scenes that ``config.scenes`` asks for.

    Raises:
        ValueError: no crop can be drawn.
    """
    if config.scenes:
        sets, sampling_weights = with_scenes(sets, sampling_weights, config.scenes)
    return PairedCrops(
        sets, sampling_weights, crop_sizes=config.crop_sizes, batch=config.batch, seed=config.seed
    )


class TrainingSteps:
    """The remaining steps of a run: iterating takes them one by one, up to ``config.steps``.

        f = network(a, b);   g = ∇ loss(f, a, b);   g ← g min(1, c / ‖g‖)
        W ← Adam(W, g, rate(step));   E ← d E + (1 − d) W

    with c = ``config.clip_grad_norm`` and d = ``config.ema_decay``. Three more terms may be part of the loss: the mean
    difference of f from what ``config.teacher`` makes of the crop, weighted by ``config.distillation`` (Hinton et al.
    2015, for images); from t⁻¹(network(t(a), t(b))), t a mirroring or turn, weighted by ``config.consistency``; and,
    squared and in grey levels, from what the next frame of a video shows at the same place, if the camera moves by a
    pixel and there is noise of 2 grey levels, weighted by ``config.steadiness``.

    A term of the loss may depend on the whole batch, as the published α does. So every process computes the loss of
    all crops, with gradients for the crops it has fused itself and without for those of the others; the mean of the
    processes' gradients, times their number, is then the gradient of the whole batch. The parts of an accumulated
    batch count as batches of their own: their mean loss is minimised.

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
        self.loss = build_loss(config.loss).to(accelerator.device)
        self.teacher = load(config.teacher).to(accelerator.device) if config.teacher else None
        self.network, self.optimiser = accelerator.prepare(state.model, state.optimiser)

    def __iter__(self) -> Iterator[dict[str, float]]:
        """Take the steps; yields the loss terms, gradient norm and learning rate of each.

        Raises:
            DivergedError: the loss or the gradient is not finite; the weights are those before the step.
            ValueError: the batch cannot be divided evenly among the processes.
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
        record: dict[str, float] = {}
        rate = float(self.state.schedule.get_last_lr()[0])
        for part in parts:
            with self.accelerator.accumulate(self.network):
                terms = self._loss_terms(part)
                for name, value in terms.items():
                    record[name] = record.get(name, 0.0) + float(value.detach()) / self.config.accumulate
                self._require_finite("loss", record["total"])
                self.accelerator.backward(terms["total"] * self.accelerator.num_processes)
                if self.accelerator.sync_gradients:
                    record["gradient_norm"] = self._clip()
                self.optimiser.step()
                self.optimiser.zero_grad()
        self.state.schedule.step()
        self.state.ema.update_parameters(self.state.model)
        self.state.step += 1
        return record | {"learning_rate": rate}

    def _clip(self) -> float:
        """Clip the gradient; returns its norm before clipping."""
        norm = float(self.accelerator.clip_grad_norm_(self.network.parameters(), self.config.clip_grad_norm))
        self._require_finite("gradient", norm)
        return norm

    def _loss_terms(self, crop: Crop) -> dict[str, Tensor]:
        device = self.accelerator.device
        a, b = (side.to(device, non_blocking=True) for side in (crop.a, crop.b))  # (B, 1, h, w)
        fused = self.network(a, b)
        extra = self._comparisons(fused, a, b)
        if self.accelerator.num_processes > 1:
            fused, a, b = self._gather_with_gradient(fused), self._gather(a), self._gather(b)
            extra = {name: self._mean_with_gradient(x) for name, x in extra.items()}
        terms = self.loss(fused, a, b)._asdict()
        return terms | extra | {"total": sum(extra.values(), terms["total"])}

    def _comparisons(self, fused: Tensor, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        """The weighted differences of the fused crops (B, 1, h, w) from others: taught, turned, or a frame later."""
        c, found = self.config, {}
        rng = np.random.default_rng((c.seed, self.state.step))
        if self.teacher is not None:
            with torch.no_grad():
                taught = self.teacher(a, b)
            found["distillation"] = c.distillation * (fused - taught).abs().mean()
        if c.consistency:
            turn = TURNS[int(rng.integers(len(TURNS)))]
            turned = turn(self.network(turn(a).contiguous(), turn(b).contiguous()))
            found["consistency"] = c.consistency * (fused - turned).abs().mean()
        if c.steadiness:
            rows, columns = MOVES[int(rng.integers(len(MOVES)))]
            moved = self.network(*(_with_noise(side[..., rows:, columns:], rng) for side in (a, b)))
            found["steadiness"] = c.steadiness * (255 * (fused[..., rows:, columns:] - moved)).square().mean()
        return found

    def _gather(self, x: Tensor) -> Tensor:
        """The tensors of all processes, concatenated: (B, ...) -> (processes B, ...)."""
        gathered: Tensor = self.accelerator.gather(x.detach().contiguous())
        return gathered

    def _gather_with_gradient(self, fused: Tensor) -> Tensor:
        """As :meth:`_gather`, but the images of this process stay differentiable."""
        images = list(self._gather(fused).split(len(fused)))
        images[self.accelerator.process_index] = fused
        return torch.cat(images)

    def _mean_with_gradient(self, x: Tensor) -> Tensor:
        """The mean of a number over all processes; only the share of this process is differentiable."""
        share = x / self.accelerator.num_processes
        return share + (self._gather(x).mean() - share.detach())

    def _require_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            names = ", ".join(sorted(set(self.crops.names(self.state.step))))
            raise DivergedError(
                f"the {what} is {value} at step {self.state.step}, whose crops are from {names}. "
                "Check these images; if they are sound, start a new run with a lower learning_rate or clip_grad_norm"
            )


def _with_noise(x: Tensor, rng: np.random.Generator) -> Tensor:
    """x, (B, 1, h, w) in [0, 1], as another frame shows it."""
    noise = torch.from_numpy(rng.normal(0, _NOISE / 255, x.shape).astype(np.float32))
    return (x + noise.to(x.device)).clamp(0, 1)
