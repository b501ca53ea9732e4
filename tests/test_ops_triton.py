"""The Triton kernels without a GPU: compiled for three kinds of GPU, and promises that only this backend makes."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch
from ops_cases import (
    SMALL_CONVS,
    SMALL_SCANS,
    SMALL_SSMS,
    SSM,
    Conv,
    Scan,
    assert_close,
    results,
    small_programs,
)

from mambadfuse import ops
from mambadfuse.models import execution
from mambadfuse.models.config import MambaConfig, MambaDFuseConfig
from mambadfuse.models.mamba import Mamba, SelectiveSSM
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.ops import interface
from mambadfuse.ops.gpu import backend, sizes

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("triton"), reason="Triton is not installed: pip install triton (Linux)"
)

SPILLED = {  # bytes; all others keep everything in registers
    ("scan_gradients", "sm_90"): 32,
    ("scan_gradients, SSM", "sm_70"): 64,
    ("scan_gradients, SSM", "sm_75"): 8,
    ("scan_gradients, SSM", "sm_80"): 32,
    ("scan_gradients, SSM", "sm_90"): 24,
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> dict[str, dict[str, dict[str, int]]]:
    """What each kernel takes, by the kind of GPU."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("triton_compile.py"))]
    cache = str(tmp_path_factory.mktemp("triton"))
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": cache}
    done = subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", timeout=1800, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["sm_70", "sm_75", "sm_80", "sm_90", "gfx942"])
def test_the_kernels_compile_without_a_gpu_and_fit_into_its_registers(target: str, compiled):
    found = compiled[target]
    assert len(found) == 12
    for kernel, uses in found.items():
        assert 0 < uses["registers"] <= 256, (kernel, uses)
        assert uses["spilled"] <= SPILLED.get((kernel, target), 0), (kernel, uses)
        assert uses["shared"] <= 16 * 1024, (kernel, uses)  # several programs fit into a multiprocessor


def test_two_runs_give_the_same_bits_and_these_are_right():
    """The suite of the backends, which is slow in the interpreter, in a nutshell."""
    for case, operation in (
        (Scan(length=5, dim=17, batch=1), partial(ops.selective_scan, return_last_state=True)),
        (Conv(), ops.causal_conv1d),
        (SSM(length=5, dim=17, given=("z",)), ops.selective_ssm),
    ):
        with small_programs():
            first, second = (
                results(operation, case.tensors(), case.flags() | {"backend": "triton"}) for _ in range(2)
            )
        assert all(torch.equal(x, second[name]) for name, x in first.items())
        assert_close(first, case.expected())


def test_the_cases_of_the_suite_reach_every_kind_of_program():
    """Chunks, and blocks of channels: full ones, begun ones and several."""
    with small_programs():
        lengths, dims = ({getattr(case, name) for case in SMALL_SCANS} for name in ("length", "dim"))
        group = sizes.CARRIED * sizes.CHUNK  # tokens of the chunks that carry_states takes at a time
        assert {1, sizes.CHUNK, sizes.CHUNK + 1, group} <= lengths
        assert max(lengths) > 2 * group
        assert {1, sizes.GRADIENT_CHANNELS} <= dims
        assert max(dims) > max(sizes.CHANNELS, 2 * sizes.GRADIENT_CHANNELS)
        lengths, dims = ({getattr(case, name) for case in SMALL_CONVS} for name in ("length", "dim"))
        assert max(lengths) > 2 * sizes.CONV_CHUNK
        assert sizes.CONV_CHANNELS in dims
        assert max(dims) > sizes.CONV_CHANNELS
        lengths, dims = ({getattr(case, name) for case in SMALL_SSMS} for name in ("length", "dim"))
        assert max(lengths) > sizes.PROJECTED
        assert max(dims) > 2 * sizes.PROJECTED_CHANNELS
        assert {1, 3} <= {-(-(case.rank + 2 * case.state) // sizes.OUTPUTS) for case in SMALL_SSMS}


def test_arguments_may_differ_in_dtype():
    case = Scan(batch=1, length=3, dim=3)
    tensors = case.tensors()
    tensors = {name: x.bfloat16() if name in ("u", "z") else x for name, x in tensors.items()}
    wide = {name: x.float() for name, x in tensors.items()}
    flags = case.flags() | {"backend": "triton"}
    found = results(ops.selective_scan, tensors, flags)
    assert found["y"].dtype == found["du"].dtype == torch.bfloat16
    assert found["dA"].dtype == found["ddelta"].dtype == torch.float32
    assert_close(found, results(ops.selective_scan, wide, flags), 0.02)


def test_an_ssm_in_bfloat16_keeps_its_parameters_and_state_in_float32():
    tensors = SSM(given=("z",)).tensors()
    tensors = {name: x.bfloat16() if name in ("x", "z") else x for name, x in tensors.items()}
    wide = {name: x if x is None else x.float() for name, x in tensors.items()}
    found = results(ops.selective_ssm, tensors, {"backend": "triton"})
    assert found["y"].dtype == found["dx"].dtype == torch.bfloat16
    assert {found[name].dtype for name in ("last_state", "dx_proj", "ddt_proj", "dconv")} == {torch.float32}
    assert_close(found, results(ops.selective_ssm, wide, {"backend": "triton"}), 0.05)


def test_autocast_does_not_lower_the_precision_of_an_ssm():
    case = SSM(length=2)
    expected = results(ops.selective_ssm, case.tensors(), {"backend": "triton"})
    with torch.autocast("cpu", torch.bfloat16):
        found = results(ops.selective_ssm, case.tensors(), {"backend": "triton"})
    assert all(torch.equal(x, expected[name]) for name, x in found.items())


def kept(operation: Callable[[], object]) -> int:
    """The bytes that an operation keeps for its backward."""
    storages = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        operation()
    return sum(storages.values())


def test_training_keeps_neither_what_the_convolution_gives_nor_the_step_sizes():
    config = MambaConfig(dim=32, state=1)
    ssm = SelectiveSSM(config)
    u, z = torch.randn(2, 1, 16, config.inner)
    with ops.use_backend("triton"):
        together = kept(lambda: ssm(u.requires_grad_(), z))
        ssm.x_proj.register_forward_hook(lambda *_: None)
        apart = kept(lambda: ssm(u.requires_grad_(), z))
    assert together < apart - 2 * u.nbytes * 0.9


@pytest.mark.parametrize("mixer", ["scan", "bidirectional"])
def test_the_mamba_unit_is_one_operation_between_its_projections(mixer: str, monkeypatch: pytest.MonkeyPatch):
    """Against the equations on the reference backend; in inference tile by tile, each from the states of the last."""
    torch.manual_seed(0)
    unit, x = Mamba(MambaConfig(dim=4, state=2, mixer=mixer)), torch.randn(1, 6, 4)
    monkeypatch.setattr(execution, "TILE", 4)
    calls = []
    monkeypatch.setattr(
        ops, "selective_ssm", lambda *a, **k: calls.append(a) or interface.selective_ssm(*a, **k)
    )
    found, expected = [], []
    for name, values in (("triton", found), ("reference", expected)):
        with ops.use_backend(name), small_programs():
            y = unit(x)
            values += [y, *torch.autograd.grad(y.square().sum(), unit.parameters())]
            with torch.no_grad():
                values.append(unit(x))
    assert len(calls) == (3 if mixer == "scan" else 4)
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5)


def test_one_operation_pays_up_to_a_rank_of_sixteen_and_with_triton_alone():
    x = torch.zeros(1, 1, 1)
    with ops.use_backend("triton"):
        assert ops.supports_selective_ssm(x, 16)
        assert not ops.supports_selective_ssm(x, 17)
    for name in ("reference", "torch", "numba"):
        with ops.use_backend(name):
            assert not ops.supports_selective_ssm(x, 16)


def test_a_network_fuses_and_learns_as_with_the_reference():
    torch.manual_seed(0)
    config = MambaDFuseConfig(
        dim=4, state=2, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=0
    )
    network, (a, b) = MambaDFuse(config), torch.rand(2, 1, 1, 2, 4)
    found = {}
    for name in ("triton", "reference"):
        with ops.use_backend(name), small_programs():
            fused = network(a, b)
            gradients = torch.autograd.grad(
                fused.square().sum(), network.parameters(), materialize_grads=True, allow_unused=True
            )
            found[name] = {"fused": fused.detach()} | {
                parameter: g
                for (parameter, _), g in zip(network.named_parameters(), gradients, strict=True)
                if g.any()
            }
    assert_close(found["triton"], found["reference"], 1e-4)


def test_parts_with_hooks_or_of_another_class_are_called():
    """A hook, or a layer with weights of its own such as those of LoRA, would never see what stays inside a kernel."""
    ssm, seen = SelectiveSSM(MambaConfig(dim=2, state=1)), []
    ssm.x_proj.register_forward_hook(lambda part, inputs, output: seen.append(output.shape))
    with ops.use_backend("triton"), torch.no_grad():
        ssm(torch.randn(1, 2, 4))
        ssm.x_proj = torch.nn.Sequential(ssm.x_proj)
        ssm(torch.randn(1, 2, 4))
    assert seen == [(1, 2, 3), (1, 2, 3)]


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@pytest.mark.parametrize("part", ["conv", "x_proj", "dt_proj"])
def test_layers_whose_weights_are_computed_are_no_part_of_one_operation(
    part: str, monkeypatch: pytest.MonkeyPatch
):
    """Nor is one with a hook: PyTorch's weight_norm comes as either."""
    norms = torch.nn.utils.weight_norm, torch.nn.utils.parametrizations.weight_norm
    monkeypatch.setattr(ops, "selective_ssm", lambda *a, **k: pytest.fail("one operation"))
    u = torch.randn(1, 2, 4)
    for norm in norms:
        ssm = SelectiveSSM(MambaConfig(dim=2, state=1))
        norm(getattr(ssm, part))
        found = {}
        for name in ("triton", "reference"):
            with ops.use_backend(name), torch.no_grad():
                found[name] = {"y": ssm(u)}
        assert_close(found["triton"], found["reference"])


def test_float64_is_refused():
    case = Scan(batch=1, length=3, dim=3)
    with pytest.raises(RuntimeError, match=r"float32, found u in torch.float64: use 'torch'"):
        ops.selective_scan(**{k: x.double() for k, x in case.tensors().items()}, backend="triton")
    with pytest.raises(RuntimeError, match=r"float32, found x in torch.float64: use 'torch'"):
        ops.selective_ssm(**{k: x.double() for k, x in SSM().tensors().items()}, backend="triton")


def test_without_a_gpu_and_without_the_interpreter_it_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TRITON_INTERPRET")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(interface, "_probe", interface._probe.__wrapped__)  # bypass the cache
    with pytest.raises(
        RuntimeError, match=r"'triton' is not usable here: PyTorch finds no GPU\. Remedy: .*'numba'"
    ):
        ops.causal_conv1d(**Conv().tensors(), backend="triton")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    """A stand-in for one new GPU: what PyTorch says of it."""
    monkeypatch.delenv("TRITON_INTERPRET")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "Tesla P100")
    monkeypatch.setattr(backend, "_fails_on_trial", lambda: None)


@pytest.mark.usefixtures("gpu")
def test_an_old_gpu_is_refused_with_its_name_and_gets_plain_pytorch(monkeypatch: pytest.MonkeyPatch):
    assert backend.unusable() is None
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: [(8, 0), (6, 0)][number])
    reason, remedy = backend.unusable()
    assert reason == "GPU 1, Tesla P100, has compute capability 6.0, the kernels need 7.0 or more"
    assert "use backend 'torch'" in remedy
    assert "CUDA_VISIBLE_DEVICES" in remedy
    monkeypatch.setattr(interface, "_probe", interface._probe.__wrapped__)  # bypass the cache
    assert interface._choose("auto", OnGPU(torch.float32)) == "mambadfuse.ops.chunked"
    monkeypatch.setattr(torch.version, "cuda", None)  # AMD: (6, 0) means something else there
    assert backend.unusable() is None


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("No module named 'triton'"), "Triton is not installed"),
        (OSError("libtriton.so: undefined symbol"), "Triton cannot be imported: OSError: libtriton.so"),
    ],
)
def test_without_a_working_triton_it_says_so(error, reason, monkeypatch: pytest.MonkeyPatch):
    class Broken:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == "triton":
                raise error

    monkeypatch.delitem(sys.modules, "triton", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path])
    said, remedy = backend.unusable()
    assert said.startswith(reason)
    assert remedy.startswith("pip install triton")


@pytest.mark.parametrize(
    ("conv", "reason"),
    [
        (lambda *_: torch.tensor([1.0, 2.0]), None),
        (lambda *_: torch.tensor([1.0, 0.0]), "a first kernel computes [1.0, 0.0], expected [1.0, 2.0]"),
        (lambda *_: [][0], "a first kernel fails: IndexError: list index out of range"),
    ],
)
def test_a_first_kernel_has_to_come_out_right(conv, reason, monkeypatch: pytest.MonkeyPatch):
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *shape, device: ones(*shape))
    monkeypatch.setattr(backend, "causal_conv1d", conv)
    found = backend._fails_on_trial()
    assert (found and found[0]) == reason
    assert found is None or "needs a C compiler, gcc or clang or the one named in CC" in found[1]


def test_the_first_kernel_computes_what_is_expected_of_it():
    x, weight = torch.ones(1, 2, 1), torch.ones(1, 2)
    assert backend.causal_conv1d(x, weight, None, None, None).flatten().tolist() == [1, 2]


KERNELS = (
    "summarise_chunks", "carry_states", "scan_chunks", "summarise_gradients", "scan_gradients",
    "conv_forward", "conv_backward", "convolve_and_project",
)  # fmt: skip


def test_every_kernel_is_launched_on_the_device_of_its_tensors(monkeypatch: pytest.MonkeyPatch):
    """With two GPUs the current one need not be theirs; the stand-in notes for which tensor it was made current."""
    current, launched = [], []

    @contextmanager
    def device_of(x: torch.Tensor):
        current.append(x.device)
        yield
        current.pop()

    class Watched:
        def __init__(self, name: str) -> None:
            self.name, self.kernel = name, getattr(launches, name)

        def __getitem__(self, grid):
            launched.append((self.name, *current))
            return self.kernel[grid]

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    launches = import_module("mambadfuse.ops.gpu.launches")
    for name in KERNELS:
        monkeypatch.setattr(launches, name, Watched(name))
    for case, operation in (
        (Scan(length=2, dim=2, batch=1), ops.selective_scan),
        (Conv(length=2, dim=2, batch=1), ops.causal_conv1d),
        (SSM(length=2, dim=2), ops.selective_ssm),
    ):
        results(operation, case.tensors(), case.flags() | {"backend": "triton"})
    assert {name for name, *_ in launched} == set(KERNELS)
    assert all(devices == [torch.device("cpu")] for _, *devices in launched)


class OnGPU:
    """As much of a tensor on a GPU as the choice of a backend looks at."""

    device = torch.device("cuda")

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


@pytest.mark.parametrize(
    ("usable", "dtype", "expected"),
    [
        ({"cuda", "triton"}, torch.float32, "mambadfuse.ops.cuda"),
        ({"triton"}, torch.bfloat16, "mambadfuse.ops.gpu.backend"),
        ({"cuda", "triton"}, torch.float64, "mambadfuse.ops.chunked"),
        (set(), torch.float32, "mambadfuse.ops.chunked"),
    ],
)
def test_the_order_on_a_gpu(usable, dtype, expected, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interface, "_probe", lambda name: interface.Backend(name, name in usable | {"torch"}))
    assert interface._choose("auto", OnGPU(dtype)) == expected
