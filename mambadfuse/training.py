"""Training on a laptop: crops in, Adam, an averaged copy of the weights out.

A run is kept every two minutes and goes on from there to the very weights it would have had.
"""

import hashlib
import json
import os
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from mambadfuse.checkpoints import save_checkpoint
from mambadfuse.data.crops import GreyPair, draw_batch
from mambadfuse.losses import FusionLoss
from mambadfuse.model import MambaDFuse, MambaDFuseConfig


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the trained weights, besides the pairs."""

    model: MambaDFuseConfig = field(default_factory=MambaDFuseConfig.lite)
    loss: FusionLoss = field(default_factory=FusionLoss.vif)
    steps: int = 10_000
    batch: int = 4
    windows: tuple[tuple[int, int], ...] = ((64, 64), (32, 128))
    """Crop sizes, one drawn per step. Long rows are among them because a scan reads whole rows at test time."""
    learning_rate: float = 1e-3
    warmup: int = 200
    """Steps in which the learning rate rises linearly; after them it falls to 1 % along a half cosine."""
    clip: float = 1.0
    """Largest norm of a gradient."""
    average: float = 0.999
    """Decay of the exponential moving average of the weights, which is what is saved."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no run can be made of."""
        for name in ("steps", "batch", "warmup"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")

    def rate(self, step: int) -> float:
        """The learning rate of a step as a share of ``learning_rate``."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.01 + 0.99 * 0.5 * (1 + float(torch.cos(torch.tensor(progress * torch.pi))))


class Trainer:
    """One run: a model, its average, the optimiser, and the step it stands at.

    Args:
        config: of the run.
        sets: groups of pairs to train on.
        shares: how often each group is drawn.
        state_path: where the run is kept; if a run of the same configuration lies there, it is continued.

    Raises:
        ValueError: a share is not positive, no pair is as large as a window, or the run at ``state_path``
            is damaged or has another configuration or other pairs.
    """

    def __init__(
        self,
        config: TrainingConfig,
        sets: Sequence[Sequence[GreyPair]],
        shares: Sequence[float],
        state_path: str | Path,
    ) -> None:
        self.config, self.sets, self.shares, self.state_path = config, sets, shares, Path(state_path)
        if len(shares) != len(sets) or not all(share > 0 for share in shares):
            raise ValueError(f"expected a positive share for each of {len(sets)} sets, found {list(shares)}")
        for window in config.windows:  # what cannot be drawn fails now rather than at some later step
            for group in sets:
                draw_batch([group], [1], 1, [window], config.seed, 0)
        torch.manual_seed(config.seed)
        self.model = MambaDFuse(config.model)
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.average))
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate)
        self.schedule = LambdaLR(self.optimiser, config.rate)
        self.step = 0
        self._parts: dict[str, Any] = {
            "model": self.model, "average": self.average, "optimiser": self.optimiser, "schedule": self.schedule,
        }  # fmt: skip
        if self.state_path.exists():
            self._resume()

    def train_step(self) -> dict[str, float]:
        """One step of gradient descent; returns the weighted loss terms.

        Raises:
            FloatingPointError: the loss is not a finite number.
        """
        c = self.config
        a, b = draw_batch(self.sets, self.shares, c.batch, c.windows, c.seed, self.step)
        terms = c.loss(self.model(a, b), a, b)
        if not terms.total.isfinite():
            raise FloatingPointError(f"the loss is {terms.total.item()} at step {self.step}")
        self.optimiser.zero_grad(set_to_none=True)
        terms.total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), c.clip)
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.model)
        self.step += 1
        return {name: float(value.detach()) for name, value in terms._asdict().items()}

    def save(self) -> None:
        """Keep the run; the file is replaced only when the new one is complete."""
        state = {name: part.state_dict() for name, part in self._parts.items()}
        partial = self.state_path.with_name(self.state_path.name + ".part")
        self.state_path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"identity": json.dumps(self._identity()), "step": self.step, **state}, partial)
        os.replace(partial, self.state_path)

    def _resume(self) -> None:
        try:
            state = torch.load(self.state_path, weights_only=True)
        except Exception as error:  # damaged pickles raise almost anything
            raise ValueError(f"{self.state_path}: the kept run is damaged ({error})") from error
        kept, mine = json.loads(state["identity"]), json.loads(json.dumps(self._identity()))
        differing = [
            f"{name} was {kept.get(name)}, is {mine[name]}" for name in mine if kept.get(name) != mine[name]
        ]
        if differing:
            raise ValueError(
                f"{self.state_path} belongs to another run: {'; '.join(differing)}. Delete it or choose another name"
            )
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        self.step = state["step"]

    def _identity(self) -> dict[str, Any]:
        """What a kept run must agree in: every setting, and the pairs by name and content."""
        pairs = [
            [(pair.name, zlib.crc32(pair.a.tobytes()), zlib.crc32(pair.b.tobytes())) for pair in group]
            for group in self.sets
        ]
        digest = hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:16]
        return {**asdict(self.config), "shares": list(self.shares), "pairs": digest}

    def run(self, out: str | Path, save_every: float = 120.0) -> None:
        """Train to the end and write the averaged weights to ``out``; the log goes beside the kept run.

        The run is kept every ``save_every`` seconds, between two steps: no more is lost if it is stopped.
        """
        self.state_path.parent.mkdir(parents=True, exist_ok=True)
        log = self.state_path.with_suffix(".jsonl")
        saved = time.monotonic()
        with tqdm(total=self.config.steps, initial=self.step, unit="step", mininterval=10) as bar:
            while self.step < self.config.steps:
                terms = self.train_step()
                bar.update()
                if self.step % 50 == 0:
                    bar.set_postfix(loss=f"{terms['total']:.3f}")
                    with log.open("a") as file:
                        file.write(json.dumps({"step": self.step, **terms}) + "\n")
                if time.monotonic() - saved > save_every:
                    self.save()
                    saved = time.monotonic()
        self.save()
        save_checkpoint(cast(MambaDFuse, self.average.module), out)
