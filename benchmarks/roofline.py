"""The least time that a GPU needs for the scan and the network, counted on paper: ``python -m benchmarks.roofline``.

    time of a kernel = max(bytes / bandwidth, operations / rate, exponentials / rate of exponentials)

No kernel has been run on a GPU for this. Every tensor counts once for each kernel that reads or writes it, as if no
cache outlived a kernel, and the kernels follow each other. Launches, latency and occupancy are left out: expect a
multiple.

Letters: C model width, E inner width, N states, R rank of the step size, W width of the convolution. All counts are for
one token of one Mamba path, numbers in float32.
"""

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


def scan_forward(config: MambaDFuseConfig) -> list[Kernel]:
    """The kernels of backend "triton": u, Δ, z, B, C in, y out, and the states at the starts of the chunks."""
    e, n = config.inner, config.state
    states = e * n / sizes.CHUNK
    return [
        Kernel("summarise_chunks", 2 * e + n + states, SCAN * e * n, e * n + 2 * e),
        Kernel("carry_states", 2 * states),
        Kernel("scan_chunks", 4 * e + 2 * n + states, (SCAN + 2) * e * n, e * n + 3 * e),
    ]


def scan_backward(config: MambaDFuseConfig) -> list[Kernel]:
    """The same with dy in; du, dΔ, dz, and the parts of dB, dC and dA out, which are then added."""
    e, n = config.inner, config.state
    states, noted = e * n / sizes.CHUNK, 2 * e * n / sizes.PIECE
    parts = 2 * n * -(-e // sizes.GRADIENT_CHANNELS)
    return [
        Kernel("summarise_gradients", 3 * e + n + states, 5 * e * n, e * n + 3 * e),
        Kernel("carry_states", 2 * states),
        Kernel("scan_gradients", 9 * e + 4 * n + 3 * states + noted + parts, 30 * e * n, 4 * e * n + 6 * e),
        Kernel("sums of parts", parts + 2 * n + states),
    ]


def scan_in_plain_torch(config: MambaDFuseConfig) -> list[Kernel]:
    """Backend "torch", forward: thirty reads or writes of an expanded tensor (E, N).

    Six to expand, 10.5 for the first round of the scan by pairs, each other round being half as long as the one before,
    and three for the sum over states.
    """
    e, n = config.inner, config.state
    return [Kernel("all operations", (6 + 2 * 10.5 + 3) * e * n + 8 * e, 2 * SCAN * e * n, e * n + 2 * e)]


def around_the_scan(config: MambaDFuseConfig) -> list[Kernel]:
    """The rest of a Mamba path: residual and norm, projections and convolution."""
    c, e, n, r = config.dim, config.inner, config.state, config.rank
    return [
        Kernel("residual and norm", 5 * c),
        Kernel("in_proj", c + 2 * e, 4 * c * e),
        Kernel("conv", 2 * e, 2 * e * config.conv_width, e),
        Kernel("x_proj", e + r + 2 * n, 2 * e * (r + 2 * n)),
        Kernel("dt_proj", r + e, 2 * r * e),
        Kernel("out_proj", e + c, 2 * e * c),
    ]


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


def fusing_seconds(config: MambaDFuseConfig, gpu: GPU, height: int, width: int) -> float:
    """One image: all paths and the image convolutions."""
    path = seconds(scan_forward(config) + around_the_scan(config), gpu)
    return (paths(config) * path + image_convolution_seconds(config, gpu)) * height * width


def training_seconds(config: MambaDFuseConfig, gpu: GPU, tokens: int) -> float:
    """Forward and backward of a batch of that many tokens; what is around the scan counts three times."""
    scan = seconds(scan_forward(config) + scan_backward(config), gpu)
    path = scan + 3 * seconds(around_the_scan(config), gpu)
    return (paths(config) * path + 3 * image_convolution_seconds(config, gpu)) * tokens


def report() -> str:
    """The tables of benchmarks/NOTES.md."""
    config = MambaDFuseConfig.published()
    lines = ["| kernel | bytes a token | A100, ps a token | H100, ps a token |", "|---|---|---|---|"]
    groups = {
        "`triton`, forward": scan_forward(config),
        "`triton`, backward": scan_backward(config),
        "`torch`, forward": scan_in_plain_torch(config),
        "around the scan, forward": around_the_scan(config),
    }
    for group, kernels in groups.items():
        for kernel in kernels:
            times = " | ".join(f"{1e12 * kernel.seconds(gpu):.0f}" for gpu in (A100, H100))
            lines.append(f"| {kernel.name} | {4 * kernel.numbers:,.0f} | {times} |")
        times = " | ".join(f"**{1e12 * seconds(kernels, gpu):.0f}**" for gpu in (A100, H100))
        lines.append(f"| **{group}** | **{4 * sum(k.numbers for k in kernels):,.0f}** | {times} |")
    for gpu in (A100, H100):
        fusing = fusing_seconds(config, gpu, 480, 640)
        step = training_seconds(config, gpu, 12 * 128 * 128)
        lines.append(
            f"{gpu.name}: 640 x 480 in {1e3 * fusing:.0f} ms, a training step in {1e3 * step:.0f} ms"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
