"""Compiles the Triton kernels for each kind of GPU, none being needed, and prints what each takes, as JSON.

Run as a program by tests/test_ops_triton.py: a process in which Triton interprets cannot compile.
"""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mambadfuse.ops.gpu import sizes
from mambadfuse.ops.gpu.causal_conv1d import conv_backward, conv_forward
from mambadfuse.ops.gpu.selective_scan import (
    carry_states,
    scan_chunks,
    scan_gradients,
    summarise_chunks,
    summarise_gradients,
)

TARGETS = {
    "sm_70": ("cuda", 70, 32),
    "sm_75": ("cuda", 75, 32),
    "sm_80": ("cuda", 80, 32),
    "sm_90": ("cuda", 90, 32),
    "gfx942": ("hip", "gfx942", 64),
}
FLAGS = {"SOFTPLUS": True, "GATED": True, "ACTIVATE": True, "REVERSE": True}
SCAN = FLAGS | {"STATES": 16, "CHUNK": sizes.CHUNK, "CHANNELS": sizes.CHANNELS}
GRADIENTS = SCAN | {"PIECE": sizes.PIECE, "CHANNELS": sizes.GRADIENT_CHANNELS}
CONV = FLAGS | {"WIDTH": 4, "CHUNK": sizes.CONV_CHUNK, "CHANNELS": sizes.CONV_CHANNELS}
KERNELS = [  # with their constants, at the sizes of the published network, and their number of warps
    (summarise_chunks, SCAN, 1),
    (carry_states, SCAN | {"CARRIED": sizes.CARRIED}, 4),
    (scan_chunks, SCAN, 1),
    (summarise_gradients, SCAN, 1),
    (scan_gradients, GRADIENTS, 1),
    (conv_forward, CONV, 4),
    (conv_backward, CONV, 4),
]


def kind(argument: str) -> str:
    if argument.isupper() and len(argument) > 1:
        return "constexpr"
    integer = argument in ("length", "chunks", "dim", "state") or argument.endswith("_row")
    return "i32" if integer else "*fp32"


def resources(made: triton.compiler.CompiledKernel, platform: str) -> dict[str, int]:
    """Registers of a thread, bytes (NVIDIA) or registers (AMD) that it spills, and bytes of shared memory."""
    if platform == "hip":
        text = made.asm["amdgcn"]
        patterns = r"\.vgpr_count:\s+(\d+)", r"\.vgpr_spill_count:\s+(\d+)"
    else:
        tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "cubin").write_bytes(made.asm["cubin"])
            command = [tool, "-res-usage", Path(folder) / "cubin"]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        patterns = r"REG:(\d+)", r"STACK:(\d+)"
    registers, spilled = (int(re.search(pattern, text)[1]) for pattern in patterns)
    return {"registers": registers, "spilled": spilled, "shared": made.metadata.shared}


def compiled(kind_of_gpu: str) -> dict[str, dict[str, int]]:
    """What each kernel takes on one kind of GPU."""
    target, found = TARGETS[kind_of_gpu], {}
    for kernel, constants, warps in KERNELS:
        signature = {name: kind(name) for name in kernel.arg_names}
        constants = {name: constants[name] for name in signature if signature[name] == "constexpr"}
        source = ASTSource(kernel, signature, constants)
        made = triton.compile(source, target=GPUTarget(*target), options={"num_warps": warps})
        found[kernel.__name__] = resources(made, target[0])
    return found


if __name__ == "__main__":
    print(json.dumps({name: compiled(name) for name in TARGETS}))
