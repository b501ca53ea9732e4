"""Controls that several panels share: a choice of pairs, from the samples or uploaded, and of networks."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import ipywidgets as widgets
import torch
import traitlets
from torch import nn

from mambadfuse.analysis.comparison import NamedPair
from mambadfuse.data.colour import Floats
from mambadfuse.data.images import FORMATS, ImageError, read_image
from mambadfuse.data.samples import samples
from mambadfuse.data.tasks import TASKS
from mambadfuse.fusion.pair import Model, load_model
from mambadfuse.models.mambadfuse import MambaDFuse, MambaDFuseConfig
from mambadfuse.models.weights_file import shipped_names
from mambadfuse.resources import resource_folder
from mambadfuse.widgets.panel import labelled

UPLOADED, UNTRAINED = "your own pair", "untrained"
LARGEST = 4_000_000  # pixels; more would take a panel too long


class PairChooser(widgets.HBox):
    """A list of pairs, and two buttons to upload a pair.

    Attributes:
        pair: the selected pair, a :class:`mambadfuse.analysis.comparison.NamedPair`.
        note: what is missing or wrong with an upload; empty if nothing is.
    """

    pair = traitlets.Any()
    note = traitlets.Unicode()

    def __init__(self, chosen: str = "synthetic_smoke_yard") -> None:
        self.known = {pair.name: pair for pair in samples()}
        self.read: dict[str, NamedPair] = {}
        """The pairs chosen so far. Results are cached by the identity of a pair, so each is read only once."""
        self.uploaded: dict[str, tuple[str, Floats]] = {}
        self.list = widgets.Dropdown(
            options=[(f"{pair.task}: {name}", name) for name, pair in self.known.items()]
            + [(UPLOADED, UPLOADED)],
            value=chosen,
            description="pair",
            **labelled("380px"),
        )
        uploads = []
        for side, shows in (("a", "infrared or MRI"), ("b", "visible, CT, PET or SPECT")):
            upload = widgets.FileUpload(
                accept=",".join(FORMATS),
                description=f"Upload {side}",
                tooltip=f"an image file as side {side}: {shows}",
                icon="",
            )
            upload.observe(lambda change, side=side: self._receive(side, change.owner), names="value")
            uploads.append(upload)
        super().__init__([self.list, *uploads], layout=widgets.Layout(flex_flow="row wrap"))
        self.list.observe(lambda _: self._choose(), names="value")
        self._choose()

    @property
    def task(self) -> str | None:
        """What the selected pair shows, a key of ``TASKS``; None for an uploaded pair."""
        return self.known[self.list.value].task if self.list.value in self.known else None

    def _choose(self) -> None:
        if self.list.value != UPLOADED:
            known = self.known[self.list.value]
            if known.name not in self.read:
                self.read[known.name] = NamedPair(known.name, read_image(known.a), read_image(known.b))
            self.pair = self.read[known.name]
            self.note = ""
            return
        missing = " and ".join(f"side {side}" for side in "ab" if side not in self.uploaded)
        if missing:
            self.note = f"Please upload {missing}."
            return
        (name_a, a), (name_b, b) = self.uploaded["a"], self.uploaded["b"]
        try:
            self.pair = NamedPair(f"{name_a} and {name_b}", a, b)
            self.note = ""
        except ValueError as error:
            self.note = f"Error: {error}"

    def _receive(self, side: str, upload: widgets.FileUpload) -> None:
        """Reads the uploaded file, and empties the button for the next one."""
        if not upload.value:
            return
        name, content = upload.value[0]["name"], bytes(upload.value[0]["content"])
        upload.value = ()
        self.note = ""
        try:
            self.uploaded[side] = name, read_uploaded(name, content)
        except ValueError as error:
            self.note = f"Error: {error}"
            return
        if self.list.value == UPLOADED:
            self._choose()
        else:
            self.list.value = UPLOADED


def read_uploaded(name: str, content: bytes) -> Floats:
    """The pixels of an uploaded image file, under the rules of :func:`mambadfuse.data.images.read_image`.

    Raises:
        ImageError: the file cannot be read, or the image is too large for a panel.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "upload"  # its own name may be too long for this system
        path.write_bytes(content)
        try:
            pixels = read_image(path)
        except ImageError as error:
            raise ImageError(str(error).replace(str(path), Path(name).name)) from None
    height, width = pixels.shape[:2]
    if height * width > LARGEST:
        raise ImageError(
            f"{name}: {width}x{height} is too large for a panel, use the command mambadfuse fuse"
        )
    return pixels


def network_chooser(networks: Mapping[str, Model], shipped: Iterable[str] = tuple(TASKS)) -> widgets.Dropdown:
    """A list of the given networks, those of the kit that are ``shipped``, and an untrained one for comparison."""
    present = [name for name in shipped if (resource_folder("weights") / f"{name}.safetensors").is_file()]
    names = dict.fromkeys([*networks, *present, UNTRAINED])
    return widgets.Dropdown(options=list(names), description="network", **labelled())


def task_of(name: str) -> str | None:
    """The task of shipped weights, a key of ``TASKS``; None if it is the name of another network.

    >>> task_of("ivf-fast"), task_of("untrained"), task_of("ivf-mine")
    ('ivf', None, None)
    """
    if name not in shipped_names():
        return None
    return next((task for task in TASKS if name == task or name.startswith(f"{task}-")), None)


def network(name: str, networks: Mapping[str, Model]) -> nn.Module:
    """The network of that name in the list of :func:`network_chooser`."""
    if name != UNTRAINED:
        return load_model(networks.get(name, name))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MambaDFuse(MambaDFuseConfig.lite()).eval()
