"""A training run of the detector, from images to a file; it can be stopped at any time, and resumes."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mambadfuse.detection.dataset import DetectionSet
from mambadfuse.detection.detector_file import DetectorMetadata, load_detector, save_detector
from mambadfuse.detection.network import Detector
from mambadfuse.detection.training import DetectorConfig, train_detector
from mambadfuse.files import made_folder
from mambadfuse.training.checkpointing import CheckpointManager, exclusive


def trained_detector(
    images: DetectionSet,
    config: DetectorConfig,
    file: str | Path,
    source: str,
    device: str = "cpu",
    progress: bool = False,
) -> Detector:
    """The detector in a file, which is trained and written first if it is missing.

    While it is trained, the folder ``*.run`` beside the file holds its checkpoints, one a minute; other files in there
    are left alone.

    Args:
        images: to train on.
        config: of the run.
        file: of the detector, ``*.safetensors``.
        source: the name of the input that the images show.
        device: of the network.
        progress: whether to show a progress bar.

    Raises:
        ValueError: the file, or the checkpoints beside it, hold a detector that was trained on other images or with
            another configuration; or it cannot be trained.
        BusyError: another process is training it.
        OSError: a file cannot be read or written.
    """
    file = Path(file)
    run = {**asdict(config), "images": images.digest()}
    if finished := _finished(file, run):
        return finished.to(device)
    checkpoints = CheckpointManager(file.with_suffix(".run"), run, count=2)
    lock = file.with_name(f".{file.stem}.lock")
    with made_folder(file.parent), exclusive(lock, str(file), remove=True):
        if finished := _finished(file, run):  # by another process, while this one waited
            return finished.to(device)
        network = train_detector(images, config, checkpoints=checkpoints, device=device, progress=progress)
        height, width = images.pixels.shape[2:]
        save_detector(file, network, DetectorMetadata(source, (height, width), images.classes, run))
        checkpoints.remove()
    return network


def _finished(file: Path, run: Mapping[str, Any]) -> Detector | None:
    """The detector that this run has written; None if there is no file yet."""
    if not file.exists():
        return None
    network, metadata = load_detector(file)
    if differing := [name for name in run if metadata.run.get(name) != run[name]]:
        raise ValueError(f"{file}: was trained with other {', '.join(differing)}: choose another name")
    return network
