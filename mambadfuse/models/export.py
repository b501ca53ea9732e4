"""Networks in files that run without this package: ONNX, and the programs of ``torch.export``.

Height and width stay free. A file holds the network alone, (a, b) -> fused; what surrounds it, colour and contrast, is
in ``docs/exporting.md``. Its metadata say what it is:

================  ==============================================================================
``model``         what was exported: a name of shipped weights, a file, or a class
``config``        the configuration, JSON
``weights``       the digest of :func:`mambadfuse.models.checkpoints.weights_digest`
``contrast``      the factor about the mean of each image that the fused images are to get
================  ==============================================================================
"""

import copy
import io
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mambadfuse.components import is_component
from mambadfuse.files import atomic_write, require_apart
from mambadfuse.models.checkpoints import Network, load, weights_digest
from mambadfuse.models.fast import FastFusion
from mambadfuse.models.pretrained import weights_path

FORMATS = ("onnx", "torch")
OPSET = 20
OLDEST_PYTORCH = (2, 8)
"""For ONNX files."""
SIZES = ((17, 33), (48, 64), (120, 160))
"""Heights and widths at which a file is compared with its network."""
TOLERANCE = 1e-4
_EXAMPLE = (24, 32)

Fuse = Callable[[Tensor, Tensor], Tensor]


class ExportError(RuntimeError):
    """A network cannot be exported, or the exported one computes something else; the message says why."""


class Comparison(NamedTuple):
    """An exported network beside the one that it was made of, for one pair of images."""

    height: int
    width: int
    difference: float
    """The largest of all pixels, where images lie in [0, 1]."""
    seconds: float
    """The time of the exported network."""


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Attributes:
        path: of the file.
        size: bytes.
        seconds: that the export took, the comparison apart.
        comparisons: one for each of :data:`SIZES`; none if ONNX Runtime is not installed.
    """

    path: Path
    size: int
    seconds: float
    comparisons: tuple[Comparison, ...]


def export(model: str | Path | Network, path: str | Path, format: str = "onnx") -> Exported:
    """Writes a network into a file that runs without this package, for images of any size.

    The file takes ``a`` and ``b``, (1, 1, H, W) each in [0, 1], and returns ``fused``, (1, 1, H, W), not clamped. It is
    compared with the network before it appears under its name, an ONNX file only if ONNX Runtime is installed.

    Args:
        model: a network, or what :func:`mambadfuse.load` takes.
        path: of the file to write.
        format: "onnx", or "torch" for a program of ``torch.export``, which ``torch.export.load`` reads.

    Raises:
        ExportError: a component of your own cannot be exported, or the result differs from the network.
        ValueError: the format is unknown, or the file would replace the weights.
        ImportError: PyTorch is too old for ONNX files, or the ONNX libraries are not installed.
        CheckpointError: the weights cannot be loaded.
        OSError: the file cannot be written.

    Example (takes minutes)::

        made = export("ivf", "ivf.onnx")
        print(made.size, [comparison.difference for comparison in made.comparisons])
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, found {format!r}")
    if format == "onnx":
        _require_onnx()
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        raise OSError(f"{path}: expected the name of a file, in a folder that exists")
    network = model if isinstance(model, Network) else load(model)
    if not isinstance(model, Network):
        require_apart([path], [weights_path(model)])
    network = copy.deepcopy(network).to("cpu", torch.float32).eval()
    metadata = {
        "model": type(model).__name__ if isinstance(model, Network) else Path(model).name,
        "config": json.dumps(network.config.to_dict()),
        "weights": weights_digest(network),
        "contrast": str(network.contrast),
    }
    start = time.perf_counter()
    program = _program(network)
    content = (_onnx if format == "onnx" else _torch)(program, metadata)
    seconds = time.perf_counter() - start
    fuse = _onnx_runtime(content) if format == "onnx" else program.module()
    comparisons = tuple(_compare(fuse, network, *size) for size in SIZES) if fuse else ()
    with atomic_write(path) as file:
        file.write(content)
    return Exported(path, len(content), seconds, comparisons)


def _require_onnx() -> None:
    if tuple(map(int, torch.__version__.split(".")[:2])) < OLDEST_PYTORCH:
        oldest = ".".join(map(str, OLDEST_PYTORCH))
        raise ImportError(
            f"ONNX files need PyTorch {oldest} or newer, found {torch.__version__}: pip install --upgrade torch"
        )
    if not (find_spec("onnx") and find_spec("onnxscript")):
        raise ImportError('ONNX files need onnx and onnxscript: pip install -e ".[onnx]"')


def _program(network: Network) -> ExportedProgram:
    """The network as a graph of PyTorch's own operators, in which height and width are free."""
    own = network.config.own_components()
    if is_component(own.get("scan_order", "")):
        raise ExportError(
            f"{own['scan_order']} cannot be exported, since Python computes the order for each size: "
            "train with scan_order raster or alternating"
        )
    least = 3 if isinstance(network, FastFusion) else None  # smaller ones would be padded otherwise
    free = {2: Dim("height", min=least), 3: Dim("width", min=least)}
    example = tuple(torch.zeros(1, 1, *_EXAMPLE) for _ in range(2))
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(network, example, dynamic_shapes=(free, free))
    except Exception as error:  # whatever PyTorch or a component meets while it is traced
        if not own:
            raise
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(
            f"{', '.join(own.values())} cannot be exported: PyTorch cannot trace it for every size ({reason}). Write "
            "it in operations of PyTorch, without Python code that depends on values or on fixed sizes"
        ) from error


def _torch(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with _quiet():
        torch.export.save(program, file, extra_files=metadata)
    return file.getvalue()


def _onnx(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    with torch.no_grad(), _quiet():
        found = torch.onnx.export(
            program,
            input_names=["a", "b"],
            output_names=["fused"],
            opset_version=OPSET,
            dynamo=True,
            optimize=False,  # compares pairs of operators, minutes for a network; runtimes simplify graphs themselves
            verbose=False,
        )
    assert found is not None
    shape = found.model.graph.inputs[0].shape
    assert shape is not None
    names: dict[Any, str] = dict(zip(shape[2:], ("height", "width"), strict=True))
    found.rename_axes(names)
    ClearMetadataAndDocStringPass()(found.model)  # the file names and lines that each operator comes from
    found.model.metadata_props.update(metadata)
    return found.model_proto.SerializeToString()


def _onnx_runtime(content: bytes) -> Fuse | None:
    """What ONNX Runtime makes of a file; None if it is not installed."""
    if not find_spec("onnxruntime"):
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only, no remarks of its optimiser
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def fuse(a: Tensor, b: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"a": a.numpy(), "b": b.numpy()})[0])

    return fuse


def _compare(fuse: Fuse, network: nn.Module, height: int, width: int) -> Comparison:
    a, b = torch.rand(2, 1, 1, height, width, generator=torch.Generator().manual_seed(0))
    start = time.perf_counter()
    with torch.no_grad():
        found = fuse(a, b)
        seconds = time.perf_counter() - start
        difference = (found - network(a, b)).abs().max().item()
    if not difference <= TOLERANCE:
        raise ExportError(
            f"the exported network differs from the original by {difference:.2g} at {width} x {height}, "
            f"expected at most {TOLERANCE:g}: nothing was written"
        )
    return Comparison(height, width, difference, seconds)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' remarks on their own insides."""
    talkative = ("torch.onnx._internal.exporter._registration", "torch._export.serde.serialize")
    loggers = [logging.getLogger(name) for name in talkative]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
