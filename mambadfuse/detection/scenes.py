"""Made-up scenes as sets of images: for each input of a detector the same scenes, and the same objects."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mambadfuse.data.object_scenes import KINDS, VISIBILITIES, ObjectScene, object_scene
from mambadfuse.detection.boxes import Flags, Objects, as_boxes
from mambadfuse.detection.dataset import DetectionSet
from mambadfuse.detection.inputs import INPUTS, input_image
from mambadfuse.files import atomic_write, make_folder
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.pair import fuse_with, load_model
from mambadfuse.models.checkpoints import weights_digest

_CHUNK = 50  # scenes that are fused before they are saved


@dataclass(frozen=True)
class SceneSeries:
    """A series of scenes, see :func:`~mambadfuse.data.object_scenes.object_scene`, which draws them."""

    seed: int
    count: int
    size: tuple[int, int] = (64, 96)
    difficulty: float = 0.5

    def scenes(self) -> list[ObjectScene]:
        """All scenes, in order."""
        return [object_scene(self.seed, index, self.size, self.difficulty) for index in range(self.count)]


def scene_objects(scene: ObjectScene) -> Objects:
    """The objects of a scene; labels are indices into ``KINDS``.

    >>> scene_objects(object_scene(0, 1)).labels.tolist()
    [1]
    """
    labels = np.array([KINDS.index(one.kind) for one in scene.objects], dtype=np.int64)
    return Objects(as_boxes([one.box for one in scene.objects]), labels)


def visibility_groups(scenes: Sequence[ObjectScene]) -> dict[str, list[Flags]]:
    """For each visibility and each scene, which of its objects have it."""
    return {
        name: [np.array([one.visibility == name for one in scene.objects], dtype=bool) for scene in scenes]
        for name in VISIBILITIES
    }


def scene_sets(
    scenes: Sequence[ObjectScene], fused: Mapping[str, NDArray[np.uint8]] | None = None
) -> dict[str, DetectionSet]:
    """The scenes as each input of a detector shows them.

    Args:
        scenes: of one size.
        fused: more inputs: the fused images of all scenes, (N, H, W), by the name of the weights.
    """
    objects = [scene_objects(scene) for scene in scenes]
    images = {name: np.stack([input_image(name, s.a, s.b) for s in scenes]) for name in INPUTS}
    images |= {name: pictures[:, None] for name, pictures in (fused or {}).items()}
    return {name: DetectionSet(pixels, objects, KINDS) for name, pixels in images.items()}


def fused_scenes(
    scenes: Sequence[ObjectScene], model: str, folder: Path, progress: bool = False
) -> NDArray[np.uint8]:
    """The scenes fused with a network, (N, H, W); fifty at a time are kept in a folder, and not fused twice.

    Args:
        scenes: of one size.
        model: shipped weights, or a file of weights.
        folder: of fused images; created if needed.
        progress: whether to show a progress bar.

    Raises:
        CheckpointError: the weights cannot be loaded.
        OSError: the folder cannot be written.
    """
    network = load_model(model)
    make_folder(folder)
    made_with = f"{weights_digest(network)[:12]}-{getattr(network, 'contrast', 1.0):g}"
    options = FusionOptions(colour="grey")
    chunks = []
    for first in tqdm(range(0, len(scenes), _CHUNK), desc=model, disable=not progress):
        chunk = scenes[first : first + _CHUNK]
        digest = zlib.crc32(b"".join(side.tobytes() for scene in chunk for side in (scene.a, scene.b)))
        file = folder / f"{made_with}-{digest:08x}.npy"
        if not file.exists():
            images = [fuse_with(network, scene.a, scene.b, options, warn=False).image for scene in chunk]
            with atomic_write(file) as out:
                np.save(out, np.stack(images))
        chunks.append(np.load(file))
    return np.concatenate(chunks)
