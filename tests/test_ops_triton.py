"""The Triton kernels without a GPU: compiled for three kinds of GPU, and promises that only this backend makes."""

import importlib.util
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch
from ops_cases import (
    SMALL_CONVS,
    SMALL_SCANS,
    Conv,
    Scan,
    assert_close,
    results,
    small_programs,
)

from mambadfuse import ops
from mambadfuse.ops import interface
from mambadfuse.ops.gpu import backend, sizes

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("triton"), reason="Triton is not installed: pip install triton (Linux)"
)

SPILLED = {("scan_gradients", "sm_90"): 32}  # bytes; all others keep everything in registers


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
    assert len(found) == 7
    for kernel, uses in found.items():
        assert 0 < uses["registers"] <= 256, (kernel, uses)
        assert uses["spilled"] <= SPILLED.get((kernel, target), 0), (kernel, uses)
        assert uses["shared"] <= 16 * 1024, (kernel, uses)  # several programs fit into a multiprocessor


def test_two_runs_give_the_same_bits_and_these_are_right():
    """The suite of the backends, which is slow in the interpreter, in a nutshell."""
    for case, operation in (
        (Scan(length=5, dim=17, batch=1), partial(ops.selective_scan, return_last_state=True)),
        (Conv(), ops.causal_conv1d),
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


def test_float64_is_refused():
    case = Scan(batch=1, length=3, dim=3)
    with pytest.raises(RuntimeError, match=r"float32, found u in torch.float64: use 'torch'"):
        ops.selective_scan(**{k: x.double() for k, x in case.tensors().items()}, backend="triton")


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
    "conv_forward", "conv_backward",
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
            self.name, self.kernel = name, getattr(autograd, name)

        def __getitem__(self, grid):
            launched.append((self.name, *current))
            return self.kernel[grid]

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    autograd = import_module("mambadfuse.ops.gpu.autograd")
    for name in KERNELS:
        monkeypatch.setattr(autograd, name, Watched(name))
    for case, operation in (
        (Scan(length=2, dim=2, batch=1), ops.selective_scan),
        (Conv(length=2, dim=2, batch=1), ops.causal_conv1d),
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
