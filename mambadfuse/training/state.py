"""What changes from step to step: weights, their average, optimiser and schedule; and all of it as plain tensors."""

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, cast

import accelerate
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mambadfuse.models.checkpoints import load
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.training.config import TrainingConfig


class TrainingState:
    """A run between two steps.

    The average is E ← d E + (1 − d) W after each step, d = ``config.average``; the first step copies W.

    Args:
        config: of the run; it decides the first weights, too.
        device: where all of it lives.

    Raises:
        ValueError: ``config.start`` holds another network than ``config.model``.
        CheckpointError: ``config.start`` names no weights.
    """

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        self.step = 0
        """Steps done."""
        self.seconds = 0.0
        """Time spent, over all calls."""
        self.model = _first_model(config).to(device)
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.average))
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate)
        self.schedule = LambdaLR(self.optimiser, config.rate)

    def averaged(self) -> MambaDFuse:
        """The network with averaged weights, in evaluation mode: what a run is for."""
        return cast(MambaDFuse, self.average.module.eval())

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the run, by name."""
        parts = {"model": self.model.state_dict(), "average": self.average.state_dict()}
        found = {f"{part}.{name}": t for part, tensors in parts.items() for name, t in tensors.items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            found |= {f"optimiser.{number}.{name}": t for name, t in moments.items()}
        found["random.cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            found["random.cuda"] = torch.cuda.get_rng_state()
        return {name: t.detach().cpu().contiguous() for name, t in found.items()}

    def facts(self) -> dict[str, Any]:
        """Everything else, fit for JSON."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "schedule": self.schedule.state_dict(),
            "groups": self.optimiser.state_dict()["param_groups"],
            "versions": versions(),
        }

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Stand where a run stood that gave these :meth:`tensors` and :meth:`facts`."""
        self.model.load_state_dict(_below("model.", tensors))
        self.average.load_state_dict(_below("average.", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, t in _below("optimiser.", tensors).items():
            number, _, moment = name.partition(".")
            moments.setdefault(int(number), {})[moment] = t
        self.optimiser.load_state_dict({"state": moments, "param_groups": facts["groups"]})
        self.schedule.load_state_dict(facts["schedule"])
        torch.set_rng_state(tensors["random.cpu"])
        if torch.cuda.is_available() and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"])
        self.step, self.seconds = facts["step"], facts["seconds"]


def first_weights(model: MambaDFuse) -> str:
    """A word for the weights that a run begins with, whatever the file they come from is called."""
    content = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        content.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return content.hexdigest()[:16]


def versions() -> dict[str, str]:
    """Of what computes the weights: other versions may round otherwise."""
    return {
        "mambadfuse": version("mambadfuse"),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "accelerate": accelerate.__version__,
    }


def _first_model(config: TrainingConfig) -> MambaDFuse:
    torch.manual_seed(config.seed)
    if not config.start:
        return MambaDFuse(config.model)
    model, wanted = load(config.start).train(), config.model.to_dict()
    differing = [
        f"model.{name} is {value} there, {wanted[name]} here"
        for name, value in model.config.to_dict().items()
        if wanted[name] != value and name != "contrast"
    ]
    if differing:
        raise ValueError(f"start={config.start} holds another network: {'; '.join(differing)}")
    model.config = config.model
    return model


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
