"""The operators that torch.compile sees and the scan that is exported: true to the backends and to PyTorch's rules."""

import importlib.util
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from ops_cases import SSM, Conv, Scan, as_float64, assert_close, operator_arguments, results, small_programs
from torch import Tensor
from torch.export import Dim

from mambadfuse import ops
from mambadfuse.models.config import MambaConfig, MambaDFuseConfig
from mambadfuse.models.mamba import Mamba
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.ops import exported, traced

HEADERS = Path(sysconfig.get_paths()["include"], "Python.h")
CAN_COMPILE = sys.platform == "linux" and shutil.which("g++") and HEADERS.exists()
MODULES = {"torch": "mambadfuse.ops.chunked", "numba": "mambadfuse.ops.cpu.autograd"}


@pytest.mark.parametrize("backend", MODULES)
@pytest.mark.parametrize("given", [("D", "z", "delta_bias", "initial_state"), ()])
def test_the_scan_obeys_the_rules_for_operators(backend: str, given: tuple[str, ...]):
    case = Scan(length=5, dim=3, given=given)
    torch.library.opcheck(traced.selective_scan, operator_arguments(case, MODULES[backend]))


@pytest.mark.parametrize("backend", MODULES)
@pytest.mark.parametrize("given", [("bias", "initial_state"), ()])
def test_the_conv_obeys_the_rules_for_operators(backend: str, given: tuple[str, ...]):
    case = Conv(length=5, dim=3, given=given)
    torch.library.opcheck(traced.causal_conv1d, operator_arguments(case, MODULES[backend]))


@pytest.mark.slow
@pytest.mark.skipif(
    not importlib.util.find_spec("triton"), reason="Triton is not installed: pip install triton"
)
def test_the_operators_obey_the_rules_with_triton_too():
    """In its interpreter; with the CUDA libraries, see test_ops_cuda.py."""
    module = "mambadfuse.ops.gpu.backend"
    scan, conv = Scan(batch=1, length=2, dim=2, state=2), Conv(batch=1, length=2, dim=2)
    with small_programs():
        torch.library.opcheck(traced.selective_scan, operator_arguments(scan, module))
        torch.library.opcheck(traced.causal_conv1d, operator_arguments(conv, module))
        for given in (("z", "conv_state", "ssm_state"), ()):
            ssm = SSM(length=2, dim=2, rank=1, width=2, given=given)
            torch.library.opcheck(traced.selective_ssm, operator_arguments(ssm, module))


def test_the_gradients_of_the_operators_pass_gradcheck():
    scan = [
        x.requires_grad_() for x in as_float64(Scan(batch=1, length=5, dim=2, state=2).tensors()).values()
    ]
    assert torch.autograd.gradcheck(lambda *x: traced.selective_scan(*x, True, MODULES["torch"]), scan)
    conv = [x.requires_grad_() for x in as_float64(Conv(batch=1, length=5, dim=2).tensors()).values()]
    assert torch.autograd.gradcheck(lambda *x: traced.causal_conv1d(*x, "silu", MODULES["torch"]), conv)


@pytest.mark.parametrize(
    "case",
    [
        Scan(),
        Scan(given=(), softplus=False, length=1),
        *[Scan(batch=1, dim=2, length=exported.CHUNK * k + rest) for k, rest in ((1, 0), (2, 1))],
    ],
    ids=str,
)
def test_the_exported_scan_is_the_recurrence(case: Scan):
    def scan(**arguments: object) -> tuple[Tensor, Tensor]:
        names = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "delta_softplus", "initial_state")
        return exported.selective_scan(*(arguments[name] for name in names))

    assert_close(results(scan, case.tensors(), case.flags()), case.expected())


def small_network(scan_order: str) -> MambaDFuse:
    torch.manual_seed(0)
    config = MambaDFuseConfig(
        dim=16,
        extraction_depth=4 if scan_order == "alternating" else 1,  # one for each direction
        exchange_depth=1,
        deep_depth=1,
        reconstruction_depth=1,
        scan_order=scan_order,
    )
    return MambaDFuse(config).eval()


@pytest.mark.slow
@pytest.mark.parametrize("scan_order", ["raster", "alternating"])
def test_a_compiled_network_equals_the_eager_one(scan_order: str):
    network, (a, b) = small_network(scan_order), torch.rand(2, 1, 1, 16, 24)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")  # needs no C++ compiler
    fused, expected = compiled(a, b), network(a, b)
    torch.testing.assert_close(fused, expected, rtol=0, atol=1e-5)
    parameters = [p for p in network.parameters() if p.requires_grad]
    found, wanted = (
        torch.autograd.grad(y.square().sum(), parameters, materialize_grads=True, allow_unused=True)
        for y in (fused, expected)
    )
    for x, y in zip(found, wanted, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-5 * max(1, y.abs().max().item()))


@pytest.mark.slow
@pytest.mark.skipif(
    not importlib.util.find_spec("triton"), reason="Triton is not installed: pip install triton"
)
def test_a_mamba_unit_compiles_and_exports_with_triton_too():
    torch.manual_seed(0)
    unit, x = Mamba(MambaConfig(dim=4, state=2)), torch.randn(1, 5, 4)
    compiled = torch.compile(unit, fullgraph=True, backend="aot_eager")
    with ops.use_backend("triton"), small_programs():
        (found, *gradients), (y, *expected) = (
            (f(x), *torch.autograd.grad(f(x).square().sum(), unit.parameters())) for f in (compiled, unit)
        )
        with torch.no_grad():
            exported_unit = torch.export.export(unit, (x,)).module()
    for x_found, x_expected in zip((found, exported_unit(x), *gradients), (y, y, *expected), strict=True):
        torch.testing.assert_close(x_found, x_expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not CAN_COMPILE, reason="PyTorch compiles with g++ and Python's headers, on Linux")
def test_torch_compile_as_it_comes_equals_eager(tmp_path, monkeypatch):
    """With PyTorch's own compiler, which writes C++ for all but scan and convolution."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    config = MambaDFuseConfig(
        dim=16, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=0
    )
    network, (a, b) = MambaDFuse(config).eval(), torch.rand(2, 1, 1, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(network)(a, b), network(a, b), rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("scan_order", ["raster", "alternating"])
def test_an_exported_network_takes_any_size_and_needs_no_backend(scan_order: str):
    network, (a, b) = small_network(scan_order), torch.rand(2, 1, 1, 16, 24)
    sizes = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    with torch.no_grad():
        program = torch.export.export(network, (a, b), dynamic_shapes=(sizes, sizes))
        a, b = torch.rand(2, 1, 1, 24, 8)
        torch.testing.assert_close(program.module()(a, b), network(a, b), rtol=0, atol=1e-5)
    assert "mambadfuse" not in {
        node.target.namespace for node in program.graph.nodes if hasattr(node.target, "namespace")
    }


def test_calls_outside_a_tracer_do_not_pass_through_the_operators(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(traced, "selective_scan", None)
    monkeypatch.setattr(traced, "causal_conv1d", None)
    ops.selective_scan(**Scan().tensors())
    ops.causal_conv1d(**Conv().tensors())
