"""Training the detector: one function from images with objects to a network; it can be stopped, and resumes."""

import math
import time
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mambadfuse.detection.boxes import Objects
from mambadfuse.detection.dataset import DetectionSet
from mambadfuse.detection.loss import detection_loss
from mambadfuse.detection.network import Detector
from mambadfuse.detection.targets import targets
from mambadfuse.fusion.memory import require_free
from mambadfuse.training.checkpointing import CheckpointManager, restore_tensors, tensors_of
from mambadfuse.training.config import LARGEST_FLOAT32

_WARMUP = 50  # steps
_SAVE_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class DetectorConfig:
    """Everything that decides a run, the images aside.

    Attributes:
        steps: of training.
        batch: images a step.
        learning_rate: the highest one, of Adam; it rises for 50 steps and falls to 0 as a half cosine.
        width: of the network, see :class:`~mambadfuse.detection.network.Detector`.
        seed: of weights, batches and mirrored images.

    Raises:
        ValueError: a number is not positive, or the seed is negative or not below 2**63.
    """

    steps: int = 800
    batch: int = 16
    learning_rate: float = 4e-3
    width: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "learning_rate", "width"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        if self.learning_rate > LARGEST_FLOAT32:
            raise ValueError(f"learning_rate must be finite in float32, found {self.learning_rate}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, found {self.seed}")
        if self.seed >= 2**63:
            raise ValueError(f"seed must be below 2**63, found {self.seed}")

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return (
            self.learning_rate
            * min(1, (step + 1) / _WARMUP)
            * (1 + math.cos(math.pi * step / self.steps))
            / 2
        )


def train_detector(
    images: DetectionSet,
    config: DetectorConfig,
    *,
    checkpoints: CheckpointManager | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> Detector:
    """A detector for these images, in evaluation mode; with checkpoints, a run that was stopped is continued.

    On the same device with the same number of threads the weights are the same to the last bit, however often the
    run was interrupted.

    >>> from mambadfuse.detection.scenes import scene_objects
    >>> from mambadfuse.data.object_scenes import KINDS, object_scene
    >>> scenes = [object_scene(0, index) for index in range(4)]
    >>> images = DetectionSet(np.stack([s.a[None] for s in scenes]), [scene_objects(s) for s in scenes], KINDS)
    >>> train_detector(images, DetectorConfig(steps=2, batch=2)).classes
    3

    Args:
        images: to train on; each is mirrored in half of its appearances.
        config: of the run.
        checkpoints: where the state is kept, once a minute and at the end.
        device: of the network.
        progress: whether to show a progress bar.

    Raises:
        ValueError: there are no images, or no objects but ignored ones; the checkpoints belong to another run; or the
            loss is not finite.
        MemoryError: the images of a step take more memory than is free.
    """
    if all(one.ignored.all() for one in images.objects):
        raise ValueError(f"found no object in {len(images.objects)} images: there is nothing to learn")
    size = 4 * config.batch * images.pixels[0].size
    require_free(size, f"a step of {config.batch} images", "choose a smaller batch")
    torch.manual_seed(config.seed)
    network = Detector(images.pixels.shape[1], len(images.classes), config.width).to(device).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    first = _restore(checkpoints, network, optimiser) if checkpoints else 0
    saved = time.monotonic()
    for step in tqdm(range(first, config.steps), initial=first, total=config.steps, disable=not progress):
        pixels, objects = _batch(images, config, step)
        aim = targets(objects, len(images.classes), *pixels.shape[2:])
        maps = network(pixels.to(device).float() / 255)
        loss = detection_loss(maps, type(aim)(*(part.to(device) for part in aim)))
        if not loss.isfinite():
            raise ValueError(f"the loss of step {step + 1} is {loss.item()}: choose a smaller learning rate")
        optimiser.param_groups[0]["lr"] = config.rate(step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if checkpoints and (time.monotonic() - saved > _SAVE_EVERY or step + 1 == config.steps):
            checkpoints.save(step + 1, tensors_of({"network": network}, optimiser), {"step": step + 1})
            saved = time.monotonic()
    return network.eval()


def _batch(images: DetectionSet, config: DetectorConfig, step: int) -> tuple[Tensor, list[Objects]]:
    """The images of a step, which depend on the seed and the number of the step alone; some are mirrored."""
    count = len(images.pixels)
    places = range(step * config.batch, (step + 1) * config.batch)
    chosen = [_order(config.seed, place // count, count)[place % count] for place in places]
    mirrored = np.random.default_rng([config.seed, 1, step]).random(config.batch) < 0.5
    pixels, objects = images.pixels[chosen], [images.objects[n] for n in chosen]
    pixels[mirrored] = pixels[mirrored][..., ::-1]
    width = pixels.shape[3]
    return torch.from_numpy(pixels), [
        replace(one, boxes=one.boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (width, 0, width, 0))
        if turned
        else one
        for one, turned in zip(objects, mirrored, strict=True)
    ]


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def _restore(checkpoints: CheckpointManager, network: Detector, optimiser: torch.optim.Adam) -> int:
    """Continues the run of the latest checkpoint: the number of steps done, 0 if there is none."""
    latest = checkpoints.latest()
    if latest is None:
        return 0
    groups = optimiser.state_dict()["param_groups"]
    restore_tensors(latest.tensors, {"network": network}, optimiser, groups)
    return int(latest.metadata["step"])
