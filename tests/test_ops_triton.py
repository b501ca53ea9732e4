"""The Triton kernels without a GPU: compiled for three kinds of GPU, and promises that only this backend makes."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ops_cases import Conv, Scan, assert_close, results

from mambadfuse import ops
from mambadfuse.ops import interface

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("triton"), reason="Triton is not installed: pip install triton (Linux)"
)

SPILLED = {("scan_gradients", "sm_90"): 32}  # bytes; all others keep everything in registers


@pytest.mark.slow
@pytest.mark.parametrize("target", ["sm_80", "sm_90", "gfx942"])
def test_the_kernels_compile_without_a_gpu_and_fit_into_its_registers(target: str, tmp_path):
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("triton_compile.py")), target]
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 7
    for kernel, uses in found.items():
        assert uses["spilled"] <= SPILLED.get((kernel, target), 0), (kernel, uses)
        assert uses["shared"] <= 16 * 1024, (kernel, uses)  # several programs fit into a multiprocessor


def test_two_runs_give_the_same_bits():
    for case, operation in (
        (Scan(length=9, dim=33, batch=1), ops.selective_scan),
        (Conv(), ops.causal_conv1d),
    ):
        first, second = (
            results(operation, case.tensors(), case.flags() | {"backend": "triton"}) for _ in range(2)
        )
        assert all(torch.equal(x, second[name]) for name, x in first.items())


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
