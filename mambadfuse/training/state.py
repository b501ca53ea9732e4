"""What changes from step to step: weights, their moving average, optimiser and schedule. All tensors have names."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, cast

import accelerate
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mambadfuse.models.checkpoints import Network, build, load
from mambadfuse.training.checkpointing import restore_tensors, tensors_of
from mambadfuse.training.config import TrainingConfig


class TrainingState:
    """A run between two steps.

    The exponential moving average (EMA) is E ← d E + (1 − d) W after each step, d = ``config.ema_decay``; the first
    step copies W.

    Args:
        config: of the run; it also determines the initial weights.
        device: of all tensors.

    Raises:
        ValueError: the network of ``config.init_from`` is not ``config.model``.
        CheckpointError: ``config.init_from`` names no weights.
    """

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        self.step = 0
        """Steps done."""
        self.seconds = 0.0
        """Training time, over all calls."""
        self.model = _initial_model(config).to(device)
        self.ema = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate)
        self.schedule = LambdaLR(self.optimiser, config.rate)

    def ema_model(self) -> Network:
        """The network with the averaged weights, in evaluation mode: the result of a run."""
        return cast(Network, self.ema.module.eval())

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the run, by name, on the CPU."""
        found = tensors_of(self._modules, self.optimiser)
        found["random.cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            found["random.cuda"] = torch.cuda.get_rng_state()
        return found

    def metadata(self) -> dict[str, Any]:
        """Everything that is not a tensor, as JSON types."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "schedule": self.schedule.state_dict(),
            "groups": self.optimiser.state_dict()["param_groups"],
            "versions": versions(),
        }

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Restore a saved state.

        Args:
            tensors: what :meth:`tensors` returned.
            metadata: what :meth:`metadata` returned.
        """
        restore_tensors(tensors, self._modules, self.optimiser, metadata["groups"])
        self.schedule.load_state_dict(metadata["schedule"])
        torch.set_rng_state(tensors["random.cpu"])
        if torch.cuda.is_available() and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"])
        self.step, self.seconds = metadata["step"], metadata["seconds"]

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.model, "ema": self.ema}


def versions() -> dict[str, str]:
    """Versions of everything that affects the weights: another version may round differently."""
    return {
        "mambadfuse": version("mambadfuse"),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "accelerate": accelerate.__version__,
    }


def _initial_model(config: TrainingConfig) -> Network:
    torch.manual_seed(config.seed)
    model = load(config.init_from).train() if config.init_from else build(config.model)
    expected = config.model.to_dict()
    found = model.config.to_dict()
    differing = [
        f"model.{name} is {found.get(name, 'not a setting')} there, {expected.get(name, 'not a setting')} here"
        for name in {**found, **expected}
        if found.get(name) != expected.get(name)
    ]
    if differing:
        raise ValueError(f"init_from={config.init_from} holds another network: {'; '.join(differing)}")
    model.contrast = config.contrast
    return model
