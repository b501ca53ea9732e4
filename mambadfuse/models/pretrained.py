"""``from_pretrained`` and ``save_pretrained``: a network by shipped name, from a file, a folder or the Hub."""

import json
import re
from os.path import exists
from pathlib import Path
from typing import Any, Self, get_type_hints

from huggingface_hub import ModelCard, PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from torch import Tensor

from mambadfuse.files import atomic_write
from mambadfuse.fusion.postprocess import check_contrast
from mambadfuse.models.config import NetworkConfig
from mambadfuse.models.state_dict_file import CheckpointError
from mambadfuse.models.weights_file import (
    WeightsFile,
    network_of,
    read_weights,
    shipped_names,
    shipped_weights,
    write_weights,
)

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_SUFFIXES = (".safetensors", ".pth", ".pt")  # a file that is missing, not a repository

_CARD = """---
{{ card_data }}
---

# {{ network }}

Fuses two registered images of one scene, infrared and visible, or CT, PET or SPECT and MRI
([arXiv:2404.08406](https://arxiv.org/abs/2404.08406)), with the MambaDFuse kit:

```python
import mambadfuse as mdf
from {{ module }} import {{ network }}

model = {{ network }}.from_pretrained("this folder or repository")
fused = mdf.fuse("infrared.png", "visible.png", model)
```

For teaching and research; none of its results is fit for diagnosis.
"""


class Pretrained(
    PyTorchModelHubMixin,
    library_name="mambadfuse",
    paper_url="https://arxiv.org/abs/2404.08406",
    license="mit",
    tags=["image-fusion", "mamba"],
    model_card_template=_CARD,
):
    """What a network needs to be loaded and saved whole: weights, configuration and contrast."""

    config: NetworkConfig
    contrast: float

    def parameter_count(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters())  # type: ignore[attr-defined]  # of nn.Module

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **hub_options: Any) -> Self:
        """A trained network in evaluation mode.

        >>> from mambadfuse import MambaDFuse
        >>> MambaDFuse.from_pretrained("ivf").parameter_count()
        227745

        Args:
            pretrained_model_name_or_path: the name of shipped weights ("ivf", "ct-mri", "pet-mri", "spect-mri"; for a
                ``FastFusion`` "ivf-fast", "ivf-tiny"), a weights file (the authors' checkpoint, too), a folder written
                by :meth:`save_pretrained`, or a repository of the Hugging Face Hub ("user/name").
            hub_options: for the Hub, as ``huggingface_hub`` takes them: ``revision``, ``token``, ``cache_dir``,
                ``force_download``, ``local_files_only``.

        Raises:
            CheckpointError: a missing or damaged file, tensors that do not fit its configuration, or the Hub cannot
                be reached.
            HfHubHTTPError: the Hub has no such repository, or refuses it.
        """
        source = str(pretrained_model_name_or_path)
        if not _REPOSITORY.fullmatch(source) or exists(source) or Path(source).suffix in _SUFFIXES:
            return cls.from_file(source)
        try:
            downloaded = hf_hub_download(source, WEIGHTS, **hub_options)
        except (OSError, ValueError) as error:
            if isinstance(error, HfHubHTTPError) and not isinstance(error, LocalEntryNotFoundError):
                raise
            raise CheckpointError(
                f"{source}: no such file, and the Hugging Face Hub does not give it: {error}"
            ) from error
        return cls.from_file(downloaded)

    @classmethod
    def from_file(cls, source: str | Path) -> Self:
        """A trained network in evaluation mode, from shipped weights by name, a weights file, or a folder with one.

        Raises:
            CheckpointError: no such file, a damaged file, or tensors that do not fit its configuration.
        """
        return cls.from_weights(*open_weights(source))

    @classmethod
    def from_weights(cls, path: Path, weights: WeightsFile) -> Self:
        """The network of a weights file, in evaluation mode.

        Raises:
            CheckpointError: the tensors do not fit the configuration, or it is that of another network.
        """
        expected = get_type_hints(cls)["config"]
        if not isinstance(weights.config, expected):
            found = type(weights.config).__name__.removesuffix("Config")
            raise CheckpointError(
                f"{path}: holds a {found}, expected a {cls.__name__}: mambadfuse.load takes both"
            )
        model = network_of(weights, cls, path)
        model.contrast = weights.contrast
        return model

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Write ``model.safetensors``, ``config.json`` and a model card, ``README.md``, into a folder.

        An existing card is left alone. The weights file alone is enough to load the network again.

        >>> import tempfile
        >>> from mambadfuse import MambaDFuse
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     MambaDFuse.from_pretrained("ivf").save_pretrained(folder)
        ...     MambaDFuse.from_pretrained(folder).contrast
        1.0

        Args:
            save_directory: the folder, created if missing.
            options: of ``huggingface_hub.ModelHubMixin.save_pretrained``, such as ``push_to_hub`` and ``repo_id``.
        """
        check_contrast(self.contrast)  # before the mixin replaces the configuration that is there
        return super().save_pretrained(save_directory, **options)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card, with the class of this network in its example."""
        kind = type(self)
        return super().generate_model_card(*args, network=kind.__name__, module=kind.__module__, **kwargs)

    def _save_pretrained(self, save_directory: Path) -> None:
        tensors: dict[str, Tensor] = self.state_dict()  # type: ignore[attr-defined]  # of nn.Module
        write_weights(save_directory / WEIGHTS, WeightsFile(tensors, self.config, self.contrast))
        settings = self.config.to_dict() | {"contrast": self.contrast}
        with atomic_write(save_directory / CONFIG) as file:
            file.write(json.dumps(settings, indent=2).encode() + b"\n")


def open_weights(source: str | Path) -> tuple[Path, WeightsFile]:
    """The file of shipped weights by name, of a path, or in a folder, and what it holds.

    Raises:
        CheckpointError: no such file, or a damaged one.
    """
    try:
        path = weights_path(source)
        return path, read_weights(path)
    except OSError as error:
        raise CheckpointError(f"{source}: cannot be read ({error.strerror or error})") from error


def weights_path(source: str | Path) -> Path:
    """The file of shipped weights by name, of a path, or in a folder; it need not exist.

    Raises:
        CheckpointError: the shipped file is not the one that was shipped.
        OSError: it cannot be read.
    """
    path = shipped_weights(str(source)) if str(source) in shipped_names() else Path(source)
    return path / WEIGHTS if path.is_dir() else path
