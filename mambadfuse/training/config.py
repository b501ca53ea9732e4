"""One frozen object that decides a training run, and where to begin: a preset for each task and budget.

==========  =====================  ==================  =====================================
budget      ``minutes``            ``laptop``          ``gpu``: the published recipe
==========  =====================  ==================  =====================================
network     a miniature            ``lite()``          ``published()``
steps       1,000                  10,000              10,000
batch       4 crops                4 crops             12 crops
windows     32x32, 16x64           64x64, 32x128       128x128 (``ivf``), 64x64 (medical)
rate        5e-3, half cosine      1e-3, half cosine   2e-5 (``ivf``), 2e-4 (medical); steady
clipping    1                      1                   none
averaging   0.98                   0.999               0.999
==========  =====================  ==================  =====================================

Common to all: Adam with PyTorch's β and ε, no weight decay, the published loss of the task. Where the first two
differ from what is published, it is for time: a small network on few and small crops takes a larger rate, which a
warm-up makes safe and a cosine brings down within a run of this length; a short run needs a short average. With few
crops the gradient's size is that of the crop: clipping lets each step count alike. Long rows are among their windows
because a scan reads whole rows at test time. Their networks add the running sums at stage ends (published: dropped):
miniatures scored better with them and scattered half as much, a hint and no proof (``weights/ABLATION.md``).

All budgets draw a pair anew for each crop (published: in shuffled rounds), so that a step depends on its number
alone, and begin the average with the weights after the first step (published: before it). The shipped weights come
from ``loss=local``, some of its settings changed: their cards give the commands, ``weights/ABLATION.md`` the reasons.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mambadfuse.data.tasks import TASKS
from mambadfuse.losses.fusion_loss import FusionLoss
from mambadfuse.models.mambadfuse import MambaDFuseConfig

BUDGETS = ("minutes", "laptop", "gpu")

_HALVINGS = (250_000, 400_000, 450_000, 475_000, 500_000)  # steps at which the published rate is halved
_SMALLEST = {"steps": 1, "batch": 1, "accumulate": 1, "log_every": 1, "validate_every": 1, "keep_last": 1,
             "warmup": 0, "seed": 0, "workers": 0, "keep_seconds": 0}  # fmt: skip

# A kept run goes on when these change; of them only the device touches the weights, by rounding.
FREE = ("device", "workers", "log_every", "validate_every", "keep_seconds", "keep_last", "tensorboard")


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the trained weights, besides the pairs.

    Raises:
        ValueError: a setting that no run can be made of; the message names it.
    """

    model: MambaDFuseConfig = field(default_factory=MambaDFuseConfig.lite)
    loss: FusionLoss = field(default_factory=FusionLoss.vif)
    start: str = ""
    """Weights to begin with: a shipped name or a file; their network must be ``model``. Empty: random ones."""

    steps: int = 10_000
    batch: int = 4
    """Crops in a step, over all processes and parts together."""
    windows: tuple[tuple[int, int], ...] = ((64, 64), (32, 128))
    """Sizes of the crops (height, width), one drawn for each step."""
    seed: int = 0
    """Of the first weights and of the crops."""

    learning_rate: float = 1e-3
    schedule: Literal["cosine", "published"] = "cosine"
    """After the warm-up: down to 1 % along a half cosine, or halved at 250,000 steps and four times after."""
    warmup: int = 200
    """Steps in which the learning rate rises linearly."""
    clip: float = 1.0
    """Largest norm of a gradient; ``inf`` clips nothing."""
    average: float = 0.999
    """Decay of the exponential moving average of the weights, which is what is saved."""

    accumulate: int = 1
    """Parts in which a batch is computed one after the other, for less memory."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """Of the network's arithmetic; "auto" is bf16 on a GPU that has it, else float32. Weights are float32."""
    device: Literal["auto", "cpu"] = "auto"
    """ "auto" is a CUDA GPU if there is one, else the CPU."""
    workers: int = 0
    """Extra processes that read and cut crops."""

    log_every: int = 10
    """Steps between two lines of the log."""
    validate_every: int = 500
    """Steps between two validations, if there are pairs for it; the last step is validated always."""
    keep_seconds: float = 120.0
    """Time between two kept states: no more is lost when a run is killed."""
    keep_last: int = 3
    """How many kept states stay on the disk."""
    tensorboard: bool = False
    """Whether the log goes to TensorBoard too, which must be installed."""

    def __post_init__(self) -> None:
        """Refuse what no run can be made of."""
        for name, least in _SMALLEST.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}, found {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        if not math.isfinite(self.learning_rate):
            raise ValueError(f"learning_rate must be finite, found {self.learning_rate}")
        for name, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is Literal and getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(kind))}, found {getattr(self, name)!r}"
                )
        if not 0 <= self.average < 1:
            raise ValueError(f"average must be in [0, 1), found {self.average}")
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate must divide the batch of {self.batch}, found {self.accumulate}")
        if not self.windows or min(min(window) for window in self.windows) < 1:
            raise ValueError(f"windows must be sizes (height, width) of at least 1, found {self.windows}")

    @classmethod
    def preset(cls, task: str = "ivf", budget: str = "laptop") -> "TrainingConfig":
        """The configuration for one of ``TASKS`` and one of ``BUDGETS``; the table above says what they differ in.

        Raises:
            ValueError: there is no such task or budget.
        """
        if task not in TASKS:
            raise ValueError(f"unknown task {task!r}: choose one of {', '.join(TASKS)}")
        if budget not in BUDGETS:
            raise ValueError(f"unknown budget {budget!r}: choose one of {', '.join(BUDGETS)}")
        loss = FusionLoss.vif() if task == "ivf" else FusionLoss.med()
        return _BUDGETS[budget](cls(loss=loss), task)

    def rate(self, step: int) -> float:
        """The learning rate of a step as a share of ``learning_rate``."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.schedule == "published":
            return 0.5 ** sum(step >= halving for halving in _HALVINGS)
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))

    def doubts(self) -> list[str]:
        """What can be run and is hardly meant, in sentences: the run is too short for its warm-up or its average."""
        found = []
        if self.warmup >= self.steps:
            found.append(
                f"warmup is {self.warmup}, the run ends after {self.steps} steps: "
                f"the learning rate does not reach {self.learning_rate:g} before"
            )
        oldest = self.average ** (self.steps - 1)
        if oldest > 0.1:
            found.append(
                f"average is {self.average:g}, the run ends after {self.steps} steps: "
                f"{oldest:.0%} of the saved weights will be those of the first step"
            )
        return found

    def identity(self) -> dict[str, Any]:
        """The settings that a kept run must agree in, by dotted name."""
        return {name: value for name, value in flat(asdict(self)).items() if name not in FREE}


def _minutes(config: TrainingConfig, task: str) -> TrainingConfig:
    model = MambaDFuseConfig(
        dim=16, state=8, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
    )
    return replace(
        config, model=model, steps=1_000, batch=4, windows=((32, 32), (16, 64)), learning_rate=5e-3, warmup=30,
        average=0.98, validate_every=100, keep_seconds=20.0,
    )  # fmt: skip


def _laptop(config: TrainingConfig, task: str) -> TrainingConfig:
    return config


def _gpu(config: TrainingConfig, task: str) -> TrainingConfig:
    side, rate = (128, 2e-5) if task == "ivf" else (64, 2e-4)
    return replace(
        config, model=MambaDFuseConfig.published(), steps=10_000, batch=12, windows=((side, side),),
        learning_rate=rate, schedule="published", warmup=0, clip=math.inf, average=0.999, workers=4,
        validate_every=1000,
    )  # fmt: skip


_BUDGETS: dict[str, Callable[[TrainingConfig, str], TrainingConfig]] = {
    "minutes": _minutes, "laptop": _laptop, "gpu": _gpu,
}  # fmt: skip


def flat(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings by dotted name: {"model": {"dim": 8}} -> {"model.dim": 8}."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found
