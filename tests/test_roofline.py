"""The times on paper follow from the sizes of the network and of the GPU."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.roofline import (
    A100,
    BACKENDS,
    DATA_SHEETS,
    GPU,
    H100,
    Kernel,
    fusing_seconds,
    gpu_named,
    kept,
    kept_in_parts,
    path_backward,
    path_forward,
    path_in_parts,
    path_in_parts_backward,
    paths,
    projected_twice,
    report,
    scan_backward,
    scan_forward,
    seconds,
    ssm_backward,
    training_seconds,
)
from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.ops.gpu import sizes

PUBLISHED = MambaDFuseConfig.published()


def test_a_kernel_takes_the_longest_of_its_three_times():
    gpu = replace(A100, bandwidth=4, operations=10, exponentials=100)
    assert Kernel("", 7, 10, 100).seconds(gpu) == 7
    assert Kernel("", 1, 80, 100).seconds(gpu) == 8
    assert Kernel("", 1, 10, 900).seconds(gpu) == 9


def test_the_published_network_has_43_paths():
    assert paths(PUBLISHED) == 43


def test_plain_torch_moves_far_more_than_the_kernels():
    kernels, torch = (sum(k.numbers for k in scan_forward(PUBLISHED, name)) for name in ("triton", "torch"))
    assert torch > 50 * kernels


@pytest.mark.parametrize("gpu", [A100, H100])
def test_time_is_proportional_to_pixels_and_bounded_by_the_bytes(gpu):
    small, large = (fusing_seconds(PUBLISHED, gpu, 480, width) for width in (320, 640))
    assert large == pytest.approx(2 * small)
    scan = scan_forward(PUBLISHED)
    assert seconds(scan, gpu) >= sum(4 * k.numbers for k in scan) / gpu.bandwidth
    assert training_seconds(PUBLISHED, gpu, 480 * 640) > 3 * large


def numbers(kernels) -> float:
    return sum(kernel.numbers for kernel in kernels)


def test_a_path_in_fewer_passes_writes_neither_u_nor_the_step_sizes():
    e, n, r = PUBLISHED.inner, PUBLISHED.state, PUBLISHED.rank
    parts, once, twice = (
        numbers(kernels)
        for kernels in (path_in_parts(PUBLISHED), path_forward(PUBLISHED), projected_twice(PUBLISHED))
    )
    assert parts - once == 5 * e - r  # u twice, Δ three times
    assert once - twice == e + 3 * r + 5 * n  # x once; written once and read twice: the raw Δ, B; once: C


def gains(config: MambaDFuseConfig, gpu: GPU) -> tuple[float, float]:
    """How many times as fast as in parts a path is, in one operation: forward, and forward with backward."""
    parts, backward = seconds(path_in_parts(config), gpu), seconds(path_in_parts_backward(config), gpu)
    once = seconds(path_forward(config), gpu)
    return parts / once, (parts + backward) / (once + seconds(path_backward(config), gpu))


@pytest.mark.parametrize(("gpu", "forward", "training"), [(A100, 1.06, 1.07), (H100, 1.20, 1.11)])
def test_what_fewer_passes_gain(gpu, forward, training):
    """The factors of benchmarks/NOTES.md."""
    assert gains(PUBLISHED, gpu) == pytest.approx((forward, training), abs=0.005)


def test_fewer_passes_pay_up_to_the_largest_rank_on_every_gpu_and_not_on_all_beyond():
    def slowest(rank: int) -> float:
        configs = [replace(PUBLISHED, dim=16 * rank, state=state) for state in (4, 16, 64)]
        return min(min(gains(config, gpu)) for config in configs for gpu in DATA_SHEETS.values())

    assert min(slowest(rank) for rank in (1, 2, 4, 8, sizes.LARGEST_RANK)) > 1
    assert slowest(sizes.LARGEST_RANK + 1) < 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_has_a_time_and_training_takes_more_than_fusing(backend):
    fusing = fusing_seconds(PUBLISHED, A100, 480, 640, backend)
    assert training_seconds(PUBLISHED, A100, 480 * 640, backend) > 2 * fusing > 0


def test_a_gpu_is_known_by_the_name_that_pytorch_gives_it():
    assert gpu_named("NVIDIA A100-SXM4-80GB") is A100
    assert gpu_named("NVIDIA H100 80GB HBM3") is H100
    assert gpu_named("NVIDIA A100-SXM4-40GB").bandwidth < A100.bandwidth
    assert gpu_named("NVIDIA H100 PCIe").bandwidth < H100.bandwidth < gpu_named("NVIDIA H200").bandwidth
    assert gpu_named("Tesla T4").name == "T4"
    assert gpu_named("NVIDIA T400 4GB") is None


def test_a_scan_reads_C_once_for_its_gradients_and_B_twice():
    n, more = PUBLISHED.state, replace(PUBLISHED, state=2 * PUBLISHED.state)
    for kernels, blocks in ((scan_backward, 8), (ssm_backward, 8)):
        small, large = (
            next(k.numbers for k in kernels(config) if k.name == "scan_gradients")
            for config in (PUBLISHED, more)
        )
        of_states = PUBLISHED.inner * n * (3 / sizes.CHUNK + 2 / sizes.PIECE)
        assert large - small == of_states + n * (2 + 1) + 2 * n * blocks  # B, C; the parts of dB and dC


def test_the_notes_hold_the_formula_the_tables_and_the_numbers_between_them():
    notes = (Path(__file__).parents[1] / "benchmarks" / "NOTES.md").read_text(encoding="utf-8")
    forward, backward = (
        f"{100 - 100 * numbers(once) / numbers(parts):.0f} %"
        for once, parts in (
            (path_forward(PUBLISHED), path_in_parts(PUBLISHED)),
            (path_backward(PUBLISHED), path_in_parts_backward(PUBLISHED)),
        )
    )
    noted = 4 * 2 * PUBLISHED.inner * PUBLISHED.state // sizes.PIECE
    (gradients,) = (4 * k.numbers for k in scan_backward(PUBLISHED) if k.name == "scan_gradients")
    for sentence in (
        f"moves {forward} fewer bytes, the backward {backward}.",
        f"{4 * kept(PUBLISHED):,.0f} bytes a token in place of {4 * kept_in_parts(PUBLISHED):,.0f}.",
        f"{noted:,} of the {gradients:,.0f} bytes of `scan_gradients`",
    ):
        assert sentence in " ".join(notes.split())
    assert "time = max(bytes / bandwidth, operations / rate, exponentials / rate of exponentials)" in notes
    assert all(line in notes for line in report().splitlines() if line.startswith("|"))
