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
from mambadfuse.ops.gpu.projection import convolve_and_project
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
BEFORE = (
    "past",
    "conv",
    "conv_bias",
    "dt_proj",
    "ddt_proj",
    "convolved",
)  # pointers that only a whole SSM has
SCAN = FLAGS | {
    "STATES": 16,
    "CHUNK": sizes.CHUNK,
    "CHANNELS": sizes.CHANNELS,
    "WIDTH": 0,
    "TAPS": 0,
    "RANKS": 0,
}
SCAN |= dict.fromkeys(BEFORE)
GRADIENTS = {"PIECE": sizes.PIECE, "CHANNELS": sizes.GRADIENT_CHANNELS}
CONV = FLAGS | {"WIDTH": 4, "CHUNK": sizes.CONV_CHUNK, "CHANNELS": sizes.CONV_CHANNELS}
PROJECTION = {"WIDTH": 4, "CHUNK": sizes.PROJECTED, "CHANNELS": sizes.PROJECTED_CHANNELS}
PROJECTION |= {"OUTPUTS": sizes.OUTPUTS, "BLOCKS": 3}  # R + 2N = 36 sums
SSM = {name: x for name, x in SCAN.items() if name not in BEFORE} | {"WIDTH": 4, "TAPS": 4, "RANKS": 4}
ONE_WARP = {"num_warps": 1}
KERNELS = {  # with their constants, at the sizes of the published network, and their options
    "summarise_chunks": (summarise_chunks, SCAN, ONE_WARP),
    "carry_states": (carry_states, SCAN | {"CARRIED": sizes.CARRIED}, {}),
    "scan_chunks": (scan_chunks, SCAN, ONE_WARP),
    "summarise_gradients": (summarise_gradients, SCAN, ONE_WARP),
    "scan_gradients": (scan_gradients, SCAN | GRADIENTS, ONE_WARP),
    "conv_forward": (conv_forward, CONV, {}),
    "conv_backward": (conv_backward, CONV, {}),
    "convolve_and_project": (convolve_and_project, PROJECTION, {"num_stages": 1}),
    "summarise_chunks, SSM": (summarise_chunks, SSM, ONE_WARP),
    "scan_chunks, SSM": (scan_chunks, SSM, ONE_WARP),
    "summarise_gradients, SSM": (summarise_gradients, SSM, ONE_WARP),
    "scan_gradients, SSM": (scan_gradients, SSM | GRADIENTS, ONE_WARP),
}
INTEGERS = ("length", "chunks", "dim", "state", "rank", "outputs")


def kind(argument: str, constants: dict[str, object]) -> str:
    if argument in constants:
        return "constexpr"
    return "i32" if argument in INTEGERS or argument.endswith("_row") else "*fp32"


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
    for title, (kernel, constants, options) in KERNELS.items():
        signature = {name: kind(name, constants) for name in kernel.arg_names}
        constants = {name: constants[name] for name in signature if signature[name] == "constexpr"}
        source = ASTSource(kernel, signature, constants)
        made = triton.compile(source, target=GPUTarget(*target), options=options)
        found[title] = resources(made, target[0])
    return found


if __name__ == "__main__":
    print(json.dumps({name: compiled(name) for name in TARGETS}))
