"""The configuration of a training run, one frozen object, with a preset for each task and budget.

=============  =====================  ==================  =====================================
budget         ``minutes``            ``laptop``          ``gpu``: the published recipe
=============  =====================  ==================  =====================================
network        a miniature            ``lite()``          ``published()``
steps          1,000                  10,000              10,000
batch          4 crops                4 crops             12 crops
crop sizes     32x32, 16x64           64x64, 32x128       128x128 (``ivf``), 64x64 (medical)
learning rate  5e-3, half cosine      1e-3, half cosine   2e-5 (``ivf``), 2e-4 (medical), constant
clipping       1                      1                   none
EMA decay      0.98                   0.999               0.999
=============  =====================  ==================  =====================================

All use Adam with PyTorch's β and ε, no weight decay, and the published loss of the task. ``minutes`` and ``laptop``
depart from the published recipe to save time. A small network on few, small crops takes a larger learning rate,
which a warm-up makes safe and a cosine brings down within a run of this length; a short run needs a
short moving average.
With few crops the norm of a gradient depends on the crops drawn; clipping makes every step count alike. Their crops
include long rows because at test time a scan reads whole rows. Their networks add the running sums at stage ends
(published: dropped): of ten miniatures without them three ended in a blank image (``weights/ABLATION.md``).

All budgets draw a pair independently for each crop (published: in shuffled epochs), so that a step depends only on
its number, and start the average with the weights after the first step (published: before it). The shipped weights
were trained with ``loss=local``: their cards give the commands, ``weights/ABLATION.md`` the reasons.
"""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mambadfuse.data.tasks import TASKS
from mambadfuse.fusion.postprocess import check_contrast
from mambadfuse.losses import FusionLossConfig
from mambadfuse.models.config import MambaDFuseConfig, NetworkConfig

BUDGETS = ("minutes", "laptop", "gpu")

MAY_CHANGE = (
    "device",
    "workers",
    "log_every",
    "validate_every",
    "checkpoint_seconds",
    "keep_checkpoints",
    "tensorboard",
)
"""Settings that may change when a run resumes. Of these only the device affects the weights, by rounding."""

_HALVINGS = (250_000, 400_000, 450_000, 475_000, 500_000)  # steps at which the published rate is halved
LARGEST_FLOAT32 = 3.4e38
_MINIMUM = {
    "steps": 1,
    "batch": 1,
    "accumulate": 1,
    "log_every": 1,
    "validate_every": 1,
    "keep_checkpoints": 1,
    "warmup": 0,
    "seed": 0,
    "workers": 0,
    "checkpoint_seconds": 0,
}


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that determines the trained weights, apart from the pairs.

    >>> config = TrainingConfig.preset("ivf", "minutes")
    >>> config.steps, config.crop_sizes
    (1000, ((32, 32), (16, 64)))

    Raises:
        ValueError: a setting is out of range; the message names it.
    """

    model: NetworkConfig = field(default_factory=MambaDFuseConfig.lite)
    loss: FusionLossConfig = field(default_factory=FusionLossConfig.vif)
    init_from: str = ""
    """Initial weights: the name of shipped ones or a file, whose network must be ``model``. Empty: random weights."""
    teacher: str = ""
    """Weights, by name or file, of a network that is imitated as well, see ``distillation``. Empty: none."""
    distillation: float = 100.0
    """Weight of the mean difference between the fused crops of network and ``teacher``."""
    consistency: float = 0.0
    """Weight of the mean difference between a fused crop and the same crop mirrored or turned while it is fused, which
    takes a second pass through the network."""
    steadiness: float = 0.0
    """Weight of the mean squared difference, in grey levels, between a fused crop and the next frame of a video at the
    same place: moved by a pixel, with noise of 2 grey levels. It takes a second pass as well."""
    contrast: float = 1.0
    """Saved with the weights and applied to fused images by :func:`mambadfuse.fuse`; not part of the network."""

    steps: int = 10_000
    batch: int = 4
    """Crops per step, over all processes and accumulated parts together."""
    crop_sizes: tuple[tuple[int, int], ...] = ((64, 64), (32, 128))
    """(height, width) of the crops; one size is drawn for each step."""
    scenes: float = 0.0
    """Share of the crops that are cut from made-up scenes, see :mod:`mambadfuse.data.scenes`, not from pairs."""
    seed: int = 0
    """Of the initial weights and of the crops."""

    learning_rate: float = 1e-3
    schedule: Literal["cosine", "published"] = "cosine"
    """After the warm-up: down to 1 % along a half cosine, or halved at 250,000 steps and four times after that."""
    warmup: int = 200
    """Steps in which the learning rate rises linearly."""
    clip_grad_norm: float = 1.0
    """Largest norm of a gradient; ``inf`` for no clipping."""
    ema_decay: float = 0.999
    """Decay of the exponential moving average of the weights, which is what is saved."""

    accumulate: int = 1
    """Parts into which a batch is split and computed one after the other, to save memory."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """Of the network's arithmetic; "auto" is bf16 on a GPU that supports it, else float32. Weights are float32."""
    device: Literal["auto", "cpu"] = "auto"
    """ "auto" is a CUDA GPU if there is one, else the CPU."""
    workers: int = 0
    """Data loader processes that read and cut crops."""

    log_every: int = 10
    """Steps between two records of the log."""
    validate_every: int = 500
    """Steps between two validations, if there are validation pairs; the last step is always validated."""
    checkpoint_seconds: float = 120.0
    """Time between two checkpoints, the most that is lost when a run is killed."""
    keep_checkpoints: int = 3
    """How many checkpoints stay on disk."""
    tensorboard: bool = False
    """Whether to log to TensorBoard too, which must be installed."""

    def __post_init__(self) -> None:
        """Reject settings that are out of range."""
        for name, minimum in _MINIMUM.items():
            if not getattr(self, name) >= minimum:
                raise ValueError(f"{name} must be at least {minimum}, found {getattr(self, name)}")
        if self.seed >= 2**63:
            raise ValueError(f"seed must be below 2**63, found {self.seed}")
        for name in ("learning_rate", "clip_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        if self.learning_rate > LARGEST_FLOAT32:
            raise ValueError(f"learning_rate must be finite in float32, found {self.learning_rate}")
        check_contrast(self.contrast)
        for name, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is Literal and getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(kind))}, found {getattr(self, name)!r}"
                )
        for name in ("distillation", "consistency", "steadiness"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, found {getattr(self, name)}")
        if not 0 <= self.scenes < 1:
            raise ValueError(f"scenes must be in [0, 1), found {self.scenes}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be in [0, 1), found {self.ema_decay}")
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate must divide the batch of {self.batch}, found {self.accumulate}")
        if not self.crop_sizes or min(min(size) for size in self.crop_sizes) < 1:
            raise ValueError(f"crop_sizes must be (height, width), each at least 1, found {self.crop_sizes}")
        if self.steadiness and min(min(size) for size in self.crop_sizes) < 2:
            raise ValueError(
                f"steadiness moves a crop by a pixel: crop_sizes must be at least 2, found {self.crop_sizes}"
            )

    @classmethod
    def preset(cls, task: str = "ivf", budget: str = "laptop") -> "TrainingConfig":
        """The configuration for one of ``TASKS`` and one of ``BUDGETS``; the table of this module compares them.

        Raises:
            ValueError: there is no such task or budget.
        """
        if task not in TASKS:
            raise ValueError(f"unknown task {task!r}: choose one of {', '.join(TASKS)}")
        if budget not in BUDGETS:
            raise ValueError(f"unknown budget {budget!r}: choose one of {', '.join(BUDGETS)}")
        config = cls(loss=FusionLossConfig.vif() if task == "ivf" else FusionLossConfig.med())
        if budget == "minutes":
            return _minutes(config)
        return _gpu(config, task) if budget == "gpu" else config

    def rate(self, step: int) -> float:
        """The learning rate of a step as a fraction of ``learning_rate``."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.schedule == "published":
            return 0.5 ** sum(step >= halving for halving in _HALVINGS)
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))

    def warnings(self) -> list[str]:
        """Sentences about settings that are valid but probably unintended: warm-up or EMA too long for the run."""
        found = []
        if self.warmup >= self.steps:
            found.append(
                f"warmup is {self.warmup}, the run ends after {self.steps} steps: "
                f"the learning rate never reaches {self.learning_rate:g}"
            )
        oldest = self.ema_decay ** (self.steps - 1)
        if oldest > 0.1:
            found.append(
                f"ema_decay is {self.ema_decay:g}, the run ends after {self.steps} steps: "
                f"{oldest:.0%} of the saved weights will be those of the first step"
            )
        return found

    def identity(self) -> dict[str, Any]:
        """The settings, by dotted name, that must agree for a run to resume: all but ``MAY_CHANGE``."""
        return {name: value for name, value in flatten(asdict(self)).items() if name not in MAY_CHANGE}


def _minutes(config: TrainingConfig) -> TrainingConfig:
    model = MambaDFuseConfig(
        dim=16, state=8, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
    )
    return replace(
        config,
        model=model,
        steps=1_000,
        batch=4,
        crop_sizes=((32, 32), (16, 64)),
        learning_rate=5e-3,
        warmup=30,
        ema_decay=0.98,
        validate_every=100,
        checkpoint_seconds=20.0,
    )


def _gpu(config: TrainingConfig, task: str) -> TrainingConfig:
    side, rate = (128, 2e-5) if task == "ivf" else (64, 2e-4)
    return replace(
        config,
        model=MambaDFuseConfig.published(),
        steps=10_000,
        batch=12,
        crop_sizes=((side, side),),
        learning_rate=rate,
        schedule="published",
        warmup=0,
        clip_grad_norm=math.inf,
        ema_decay=0.999,
        workers=4,
        validate_every=1000,
    )


def flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name.

    >>> flatten({"model": {"dim": 8}, "steps": 10})
    {'model.dim': 8, 'steps': 10}
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
