"""An Apple GPU (MPS), without one: every operator of PyTorch that fusing and training need exists there.

PyTorch lists its operators in a file that comes with it, with the devices that each has a kernel for. The test notes
which ones run on the CPU. We have not run the kit on an Apple GPU.
"""

from pathlib import Path

import pytest
import torch
import torchgen
import yaml
from torch.utils._python_dispatch import TorchDispatchMode

from mambadfuse import MambaDFuse, MambaDFuseConfig, ops
from mambadfuse.losses import FusionLoss

LIST = Path(torchgen.__file__).parent / "packaged" / "ATen" / "native" / "native_functions.yaml"
TINY = MambaDFuseConfig(
    dim=8, state=4, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
)
EVERYWHERE = (
    "MPS",
    "CompositeImplicitAutograd",
    "CompositeExplicitAutograd",
    "CompositeExplicitAutogradNonFunctional",
)


class Noted(TorchDispatchMode):
    """Notes the operators that run and the dtypes of what they return."""

    def __init__(self) -> None:
        super().__init__()
        self.operators, self.dtypes = set(), set()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        found = function(*arguments, **(options or {}))
        if function.namespace == "aten":
            self.operators.add(function._schema.name.removeprefix("aten::") + _overload(function))
        several = found if isinstance(found, (tuple, list)) else (found,)
        self.dtypes |= {x.dtype for x in several if isinstance(x, torch.Tensor)}
        return found


def _overload(function) -> str:
    return "" if function._overloadname == "default" else f".{function._overloadname}"


@pytest.fixture(scope="module")
def listed() -> dict[str, dict]:
    entries = yaml.load(
        LIST.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return {entry["func"].partition("(")[0]: entry for entry in entries}


def exists_on_mps(name: str, listed: dict[str, dict]) -> bool:
    """Whether an operator has a kernel for MPS, or is made of others that are noted themselves."""
    entry = listed[name]
    if "structured_delegate" in entry:
        return exists_on_mps(entry["structured_delegate"], listed)
    devices = {device.strip() for devices in entry.get("dispatch", {}) for device in devices.split(",")}
    return not devices or not devices.isdisjoint(EVERYWHERE)


@pytest.fixture(scope="module")
def noted() -> Noted:
    """A training step and an image fused, by the backend that a tensor on MPS gets."""
    model = MambaDFuse(TINY)
    optimiser = torch.optim.Adam(model.parameters())
    a, b = torch.rand(2, 1, 1, 16, 24)
    with Noted() as noted, ops.use_backend("torch"):
        FusionLoss.vif()(model(a, b), a, b).total.backward()
        optimiser.step()
        with torch.inference_mode():
            model(a, b)
    return noted


def test_every_operator_has_a_kernel_for_mps(noted, listed):
    assert {"silu_backward", "convolution_backward", "slice_backward", "native_layer_norm"} <= noted.operators
    assert [name for name in sorted(noted.operators) if not exists_on_mps(name, listed)] == []


def test_no_number_has_64_bits_of_floating_point_which_mps_lacks(noted):
    assert noted.dtypes <= {torch.float32, torch.int64, torch.bool}


def test_the_list_knows_what_mps_lacks(listed):
    assert not exists_on_mps("linalg_eig.out", listed)


class OnMPS:
    """As much of a tensor as the choice of a backend looks at."""

    device, dtype = torch.device("mps"), torch.float32


def test_a_tensor_on_mps_gets_plain_pytorch():
    assert ops.interface._choose("auto", OnMPS) == "mambadfuse.ops.chunked"
