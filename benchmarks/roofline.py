"""The least time that a GPU needs for the scan and the network, counted on paper: ``python -m benchmarks.roofline``.

    time of a kernel = max(bytes / bandwidth, operations / rate, exponentials / rate of exponentials)

No kernel has been run on a GPU for this. Every tensor counts once for each kernel that reads or writes it, as if no
cache outlived a kernel, and the kernels follow each other. Launches, latency and occupancy are left out: expect a
multiple.

Letters: C model width, E inner width, N states, R rank of the step size, W width of the convolution. All counts are for
one token of one Mamba path, numbers in float32.
"""

import re
from dataclasses import dataclass, replace

from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.models.flops import SCAN, forward_flops
from mambadfuse.ops.gpu import sizes


@dataclass(frozen=True)
class GPU:
    """Bytes, float32 operations and exponentials per second, from the vendor's data sheet."""

    name: str
    bandwidth: float
    operations: float
    exponentials: float  # 16 for each multiprocessor and cycle


A100 = GPU("A100 80 GB", 2.04e12, 19.5e12, 16 * 108 * 1.41e9)
H100 = GPU("H100 SXM", 3.35e12, 66.9e12, 16 * 132 * 1.98e9)
BACKENDS = ("triton", "torch", "cuda")
STEP = 12 * 128 * 128
"""Tokens of a training step of the published recipe."""


DATA_SHEETS = {  # by the name that PyTorch gives the GPU; the first that fits
    "A100.*40GB": replace(A100, name="A100 40 GB", bandwidth=1.555e12),
    "A100": A100,
    "H100 PCIe": GPU("H100 PCIe", 2.04e12, 51.2e12, 16 * 114 * 1.755e9),
    "H100": H100,
    "H200": replace(H100, name="H200 SXM", bandwidth=4.8e12),
    "RTX 4090$": GPU("RTX 4090", 1.008e12, 82.6e12, 16 * 128 * 2.52e9),
    r"\bT4$": GPU("T4", 0.32e12, 8.1e12, 16 * 40 * 1.59e9),
}


def gpu_named(name: str) -> GPU | None:
    """The data sheet of the GPU that PyTorch calls by this name; None if it is not listed here."""
    return next((gpu for pattern, gpu in DATA_SHEETS.items() if re.search(pattern, name)), None)


@dataclass(frozen=True)
class Kernel:
    """What one kernel moves (numbers), computes (operations) and exponentiates for one token."""

    name: str
    numbers: float
    operations: float = 0
    exponentials: float = 0

    def seconds(self, gpu: GPU) -> float:
        return max(
            4 * self.numbers / gpu.bandwidth,
            self.operations / gpu.operations,
            self.exponentials / gpu.exponentials,
        )


def scan_forward(config: MambaDFuseConfig, backend: str = "triton") -> list[Kernel]:
    """The kernels of a scan: u, Δ, z, B, C in and y out, and what the backend moves besides.

    "triton": u, Δ and B are read twice, and the states at the starts of the chunks written and read twice.
    "torch": thirty reads or writes of an expanded tensor (E, N): six to expand, 10.5 for the first round of the scan
    by pairs, each other round being half as long as the one before, and three for the sum over states.
    "cuda": mamba-ssm writes y before the gate and after it; all tensors are transposed on the way in and out.
    """
    e, n = config.inner, config.state
    states = e * n / sizes.CHUNK
    kernels = {
        "triton": [
            Kernel("summarise_chunks", 2 * e + n + states, SCAN * e * n, e * n + 2 * e),
            Kernel("carry_states", 2 * states),
            Kernel("scan_chunks", 4 * e + 2 * n + states, (SCAN + 2) * e * n, e * n + 3 * e),
        ],
        "torch": [
            Kernel("all operations", (6 + 2 * 10.5 + 3) * e * n + 8 * e, 2 * SCAN * e * n, e * n + 2 * e)
        ],
        "cuda": [
            Kernel("transpositions", 8 * e + 4 * n),
            Kernel("selective_scan_fn", 5 * e + 2 * n, (SCAN + 2) * e * n, e * n + 3 * e),
        ],
    }
    return kernels[backend]


def scan_backward(config: MambaDFuseConfig, backend: str = "triton") -> list[Kernel]:
    """The same with dy in; du, dΔ, dz, and the parts of dB, dC and dA out, which are then added.

    "triton": ``scan_gradients`` reads u, Δ and B twice, for the states and for the gradients, but C once.
    "torch" computes each chunk again, and then its gradient, which is taken to move twice as much.
    """
    e, n = config.inner, config.state
    states, noted = e * n / sizes.CHUNK, 2 * e * n / sizes.PIECE
    parts = 2 * n * -(-e // sizes.GRADIENT_CHANNELS)
    (plain,) = scan_forward(config, "torch")
    kernels = {
        "triton": [
            Kernel("summarise_gradients", 3 * e + n + states, 5 * e * n, e * n + 3 * e),
            Kernel("carry_states", 2 * states),
            Kernel(
                "scan_gradients", 9 * e + 3 * n + 3 * states + noted + parts, 30 * e * n, 4 * e * n + 6 * e
            ),
            Kernel("sums of parts", parts + 2 * n + states),
        ],
        "torch": [Kernel("all operations", 3 * plain.numbers, 3 * plain.operations, plain.exponentials)],
        "cuda": [
            Kernel("transpositions", 8 * e + 4 * n),
            Kernel("its gradient", 8 * e + 4 * n, 30 * e * n, 2 * e * n + 6 * e),
        ],
    }
    return kernels[backend]


CONVOLUTION = {"triton": 2, "torch": 27, "cuda": 6}
"""Reads and writes of E numbers: x and y; in plain PyTorch one product for each tap, stacked and summed; transposed."""


def around_the_scan(config: MambaDFuseConfig, backend: str = "triton") -> list[Kernel]:
    """The rest of a Mamba path: residual and norm, projections and convolution."""
    c, e, n, r = config.dim, config.inner, config.state, config.rank
    return [
        Kernel("residual and norm", 5 * c),
        Kernel("in_proj", c + 2 * e, 4 * c * e),
        Kernel("conv", CONVOLUTION[backend] * e, 2 * e * config.conv_width, e),
        Kernel("x_proj", e + r + 2 * n, 2 * e * (r + 2 * n)),
        Kernel("dt_proj", r + e, 2 * r * e),
        Kernel("out_proj", e + c, 2 * e * c),
    ]


def ssm_forward(config: MambaDFuseConfig) -> list[Kernel]:
    """Convolution, projections, scan and gate as one operation of "triton": u and Δ are never written.

    B, C and the step sizes need all channels of a token, hence one kernel that convolves and projects, and then a scan
    whose two passes convolve again and project Δ themselves. The W - 1 tokens before a chunk are not counted.
    """
    e, n, r = config.inner, config.state, config.rank
    states, conv, step = e * n / sizes.CHUNK, 2 * e * config.conv_width, 2 * r * e
    sums = -(-(r + 2 * n) // sizes.OUTPUTS) * sizes.OUTPUTS  # with those that fill up the last tile
    return [
        Kernel("convolve_and_project", e + r + 2 * n, conv + 2 * e * sums, e),
        Kernel("summarise_chunks", e + r + n + states, conv + step + SCAN * e * n, e * n + 3 * e),
        Kernel("carry_states", 2 * states),
        Kernel("scan_chunks", 3 * e + r + 2 * n + states, conv + step + (SCAN + 2) * e * n, e * n + 4 * e),
    ]


def ssm_backward(config: MambaDFuseConfig) -> list[Kernel]:
    """The gradients of that operation; that of Δ is never written either, only those of Δ_raw, B and C, in parts."""
    e, n, r, w = config.inner, config.state, config.rank, config.conv_width
    states, noted, conv, step = e * n / sizes.CHUNK, 2 * e * n / sizes.PIECE, 2 * e * w, 2 * r * e
    parts, weights = (r + 2 * n) * -(-e // sizes.GRADIENT_CHANNELS), r * e / sizes.CHUNK
    products = 2 * e * (r + 2 * n)
    return [
        Kernel("summarise_gradients", 2 * e + r + n + states, step + 5 * e * n, e * n + 3 * e),
        Kernel("carry_states", 2 * states),
        Kernel(
            "scan_gradients",
            7 * e + 2 * r + 3 * n + 3 * states + noted + parts + weights,
            3 * (conv + step) + 2 * step + 30 * e * n,
            4 * e * n + 9 * e,
        ),
        Kernel("sums of parts", parts + r + 2 * n + states + weights),
        Kernel("gradients of x_proj", 3 * e + 2 * (r + 2 * n), 2 * products),
        Kernel("conv_backward", 3 * e, (w + 2) * conv, w * e),
    ]


def projected_twice(config: MambaDFuseConfig) -> list[Kernel]:
    """A path in the fewest passes, not built: both passes of the scan convolve and project by themselves.

    A program holds all channels of its tokens, so that Δ, B and C are never written either.
    """
    e, n, r = config.inner, config.state, config.rank
    states = e * n / sizes.CHUNK
    before = 2 * e * config.conv_width + 2 * e * (r + 2 * n) + 2 * r * e
    return [
        *_outer_kernels(config),
        Kernel("summarise_chunks", e + states, before + SCAN * e * n, e * n + 3 * e),
        Kernel("carry_states", 2 * states),
        Kernel("scan_chunks", 3 * e + states, before + (SCAN + 2) * e * n, e * n + 4 * e),
    ]


def _outer_kernels(config: MambaDFuseConfig) -> list[Kernel]:
    names = ("residual and norm", "in_proj", "out_proj")
    return [kernel for kernel in around_the_scan(config) if kernel.name in names]


def path_forward(config: MambaDFuseConfig, backend: str = "triton") -> list[Kernel]:
    """A whole Mamba path."""
    if backend == "triton":
        return ssm_forward(config) + _outer_kernels(config)
    return path_in_parts(config, backend)


def path_in_parts(config: MambaDFuseConfig, backend: str = "triton") -> list[Kernel]:
    """A path whose convolution, projections and scan are operations of their own."""
    return scan_forward(config, backend) + around_the_scan(config, backend)


def path_backward(config: MambaDFuseConfig, backend: str = "triton") -> list[Kernel]:
    """Its gradient; what is no kernel of this package counts twice its forward."""
    if backend == "triton":
        return ssm_backward(config) + 2 * _outer_kernels(config)
    return path_in_parts_backward(config, backend)


def path_in_parts_backward(config: MambaDFuseConfig, backend: str = "triton") -> list[Kernel]:
    """The gradient of :func:`path_in_parts`."""
    return scan_backward(config, backend) + 2 * around_the_scan(config, backend)


def kept(config: MambaDFuseConfig) -> float:
    """Numbers that an SSM keeps for its gradient: x, z, Δ_raw, B, C and the states at the starts of the chunks."""
    e, n = config.inner, config.state
    return 2 * e + config.rank + 2 * n + e * n / sizes.CHUNK


def kept_in_parts(config: MambaDFuseConfig) -> float:
    """The same where convolution, projections and scan are operations of their own: u and Δ, too."""
    return kept(config) + 2 * config.inner


def paths(config: MambaDFuseConfig) -> int:
    """The Mamba paths of the network."""
    return (
        2 * config.extraction_depth
        + 2 * config.exchange_depth
        + 3 * config.deep_depth
        + config.reconstruction_depth
    )


def seconds(kernels: list[Kernel], gpu: GPU) -> float:
    """Seconds for one token."""
    return sum(kernel.seconds(gpu) for kernel in kernels)


def image_convolution_seconds(config: MambaDFuseConfig, gpu: GPU) -> float:
    """The 3x3 convolutions before, between and after the Mamba blocks, for one pixel, at the float32 rate."""
    stages = ("extraction_depth", "exchange_depth", "deep_depth", "reconstruction_depth")
    without_blocks = replace(config, **dict.fromkeys(stages, 0))
    return forward_flops(without_blocks, 1, 1)["total"] / gpu.operations


def fusing_seconds(
    config: MambaDFuseConfig, gpu: GPU, height: int, width: int, backend: str = "triton"
) -> float:
    """One image: all paths and the image convolutions."""
    return _network_seconds(config, gpu, path_forward(config, backend)) * height * width


def training_seconds(config: MambaDFuseConfig, gpu: GPU, tokens: int, backend: str = "triton") -> float:
    """Forward and backward of a batch of that many tokens."""
    path = path_forward(config, backend) + path_backward(config, backend)
    return _network_seconds(config, gpu, path, 3) * tokens


def _network_seconds(config: MambaDFuseConfig, gpu: GPU, path: list[Kernel], convolved: int = 1) -> float:
    """One token through all paths, of these kernels, and through the image convolutions so many times."""
    return paths(config) * seconds(path, gpu) + convolved * image_convolution_seconds(config, gpu)


def _row(name: str, kernels: list[Kernel], mark: str = "") -> str:
    """A row of the table: bytes, operations, and time on both GPUs."""
    cells = [
        name,
        f"{4 * sum(k.numbers for k in kernels):,.0f}",
        f"{sum(k.operations for k in kernels):,.0f}",
        *(f"{1e12 * seconds(kernels, gpu):,.0f}" for gpu in (A100, H100)),
    ]
    return "| " + " | ".join(f"{mark}{cell}{mark}" for cell in cells) + " |"


def _gain_row(name: str, forward: list[Kernel], backward: list[Kernel] | None = None) -> str:
    """A row of the table of gains over a path in parts, by these kernels, in the published network on both GPUs."""
    config, cells = MambaDFuseConfig.published(), [name]
    parts, gradient = path_in_parts(config), path_in_parts_backward(config)
    kinds = [(parts, forward, 1, 640 * 480)]
    if backward is not None:
        kinds.append((parts + gradient, forward + backward, 3, STEP))
    for gpu in (A100, H100):
        for before, after, convolved, tokens in kinds:
            network = (
                1e3 * tokens * _network_seconds(config, gpu, path, convolved) for path in (before, after)
            )
            cells.append(f"{seconds(before, gpu) / seconds(after, gpu):.2f}")
            cells.append(" -> ".join(f"{time:,.0f}" for time in network) + " ms")
        cells += ["", ""] * (2 - len(kinds))
    return "| " + " | ".join(cells) + " |"


def report() -> str:
    """The tables of benchmarks/NOTES.md."""
    config = MambaDFuseConfig.published()
    lines = [
        "| kernel | bytes a token | operations a token | A100, ps a token | H100, ps a token |",
        "|---|---|---|---|---|",
    ]
    groups = {f"`{name}`, forward": scan_forward(config, name) for name in BACKENDS}
    groups |= {f"`{name}`, backward": scan_backward(config, name) for name in BACKENDS}
    groups["around the scan, forward"] = around_the_scan(config)
    groups |= {"whole SSM, forward": ssm_forward(config), "whole SSM, backward": ssm_backward(config)}
    for group, kernels in groups.items():
        lines += [_row(kernel.name, [kernel]) for kernel in kernels if len(kernels) > 1]
        lines.append(_row(group, kernels, "**"))
    lines += [
        "",
        "| a whole path | bytes a token | operations a token | A100, ps a token | H100, ps a token |",
    ]
    lines.append("|---|---|---|---|---|")
    for name in BACKENDS:
        lines.append(_row(f"`{name}`, forward", path_forward(config, name)))
    lines.append(_row("`triton` in parts, forward", path_in_parts(config)))
    lines.append(_row("projected twice, not built, forward", projected_twice(config)))
    for name in BACKENDS:
        lines.append(_row(f"`{name}`, backward", path_backward(config, name)))
    lines.append(_row("`triton` in parts, backward", path_in_parts_backward(config)))
    columns = "path, forward | fused image | path, forward and backward | training step"
    lines += [
        "",
        f"| times as fast as in parts | A100: {columns} | H100: {columns} |",
        "|---" * 9 + "|",
        _gain_row("one operation, as built", path_forward(config), path_backward(config)),
        _gain_row("projected twice, not built", projected_twice(config)),
        "",
        "| published network | A100, fusing 640 x 480 | A100, training step | H100, fusing | H100, training step |",
        "|---|---|---|---|---|",
    ]
    for name in BACKENDS:
        times = [
            f"{1e3 * time:,.0f} ms"
            for gpu in (A100, H100)
            for time in (
                fusing_seconds(config, gpu, 480, 640, name),
                training_seconds(config, gpu, STEP, name),
            )
        ]
        lines.append(f"| `{name}` | {' | '.join(times)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
