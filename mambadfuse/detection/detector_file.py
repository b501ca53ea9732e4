"""A detector in a file, safetensors: its weights, and as metadata what they were trained on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save

from mambadfuse.detection.network import Detector
from mambadfuse.files import atomic_write, make_folder, require_no_special


@dataclass(frozen=True)
class DetectorMetadata:
    """What a file says of a detector beside its weights.

    Attributes:
        source: the input it was trained on.
        size: (H, W) of the images.
        classes: their names.
        run: what decided the training: its configuration, and digests of its images.
    """

    source: str
    size: tuple[int, int]
    classes: tuple[str, ...]
    run: Mapping[str, Any] = field(default_factory=dict)


def save_detector(file: str | Path, network: Detector, metadata: DetectorMetadata) -> None:
    """Writes a detector.

    Raises:
        OSError: the file cannot be written.
    """
    file = Path(file)
    make_folder(file.parent)
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    sizes = {"channels": network.channels, "width": network.width}
    with atomic_write(file) as out:
        out.write(save(tensors, {"detector": json.dumps({**asdict(metadata), **sizes})}))


def load_detector(file: str | Path) -> tuple[Detector, DetectorMetadata]:
    """A detector, in evaluation mode, and its metadata.

    Raises:
        ValueError: the file is no detector.
        OSError: it is missing or cannot be read.
    """
    require_no_special(Path(file))
    content = Path(file).read_bytes()
    try:
        with safe_open(file, framework="pt") as header:
            stored = json.loads(header.metadata()["detector"])
        channels, width = stored.pop("channels"), stored.pop("width")
        metadata = DetectorMetadata(
            stored["source"], tuple(stored["size"]), tuple(stored["classes"]), stored["run"]
        )
        network = Detector(channels, len(metadata.classes), width)
        network.load_state_dict(load(content))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{file}: is no detector that mambadfuse detect wrote ({error})") from None
    return network.eval(), metadata
