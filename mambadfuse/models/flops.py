"""The floating-point operations of a forward pass by stage, from the configuration alone.

A multiply-add counts 2. The scan counts 9 for each state and token: Δ A, its exponential (counted 1), Δ u B (2),
the recurrence (2), the sum over states (2), and its share of softplus, skip and gate (1). Norms and activations
are left out. Divided by the measured rate of a large matrix product, this gives the time that the
arithmetic alone would take, a lower bound with which the benchmarks compare.

Letters: C model width, E inner width, N state size, R rank of the step-size projection, W convolution width.
"""

from mambadfuse.models.config import MambaDFuseConfig

SCAN = 9  # operations for each state and token


def branch_flops(config: MambaDFuseConfig, gated: bool = True) -> int:
    """Operations for one token in one branch: in_proj, convolution and scan, without out_proj.

    2 C (2 E or E) + 2 E W + 2 E (R + 2 N) + 2 R E + 9 E N, all but the first twice if bidirectional; for the mixer
    "convolution" 2 C (2 E or E) + 2 · 49 E.
    """
    c, inner, rank = config.dim, config.inner, config.rank
    projection = 2 * c * (2 * inner if gated else inner)
    if config.mixer == "convolution":
        return projection + 2 * 49 * inner
    parameters = 2 * inner * (rank + 2 * config.state) + 2 * rank * inner
    scan = 2 * inner * config.conv_width + parameters + SCAN * inner * config.state
    return projection + (2 * scan if config.mixer == "bidirectional" else scan)


def mamba_flops(config: MambaDFuseConfig) -> int:
    """Operations for one token in one Mamba unit: its branch and out_proj, 2 E C."""
    return branch_flops(config) + 2 * config.inner * config.dim


def m3_flops(config: MambaDFuseConfig) -> int:
    """Operations for one token in one M3 block: three branches, one out_proj, the depthwise convolution."""
    guides = 2 * branch_flops(config, gated=config.gate == "own")
    return mamba_flops(config) + guides + (2 * 9 * config.dim if config.deep_conv else 0)


def conv_flops(inputs: int, outputs: int) -> int:
    """Operations for one pixel in a 3x3 convolution."""
    return 2 * 9 * inputs * outputs


def forward_flops(config: MambaDFuseConfig, height: int, width: int) -> dict[str, int]:
    """Operations of one forward pass over one pair of images, by stage, and their "total"."""
    c, pixels = config.dim, height * width
    mixed = 2 * c if config.shallow_conv_inputs == "both" else c
    per_pixel = {
        "low level": 2 * (conv_flops(1, c // 2) + conv_flops(c // 2, c)),
        "high level": 2 * config.extraction_depth * mamba_flops(config),
        "shallow fusion": 2 * config.exchange_depth * mamba_flops(config) + 2 * conv_flops(mixed, c),
        "deep fusion": config.deep_depth * m3_flops(config),
        "reconstruction": config.reconstruction_depth * mamba_flops(config)
        + conv_flops(c, c // 2)
        + conv_flops(c // 2, c // 4)
        + conv_flops(c // 4, 1),
    }
    stages = {stage: flops * pixels for stage, flops in per_pixel.items()}
    return {**stages, "total": sum(stages.values())}
