"""Fused Mamba units without gradients: equal to the modules they replace, on any tiles and threads."""

import pytest
import torch
from torch import Tensor, nn

from mambadfuse import MambaDFuse, MambaDFuseConfig, ops
from mambadfuse.models.config import MambaConfig
from mambadfuse.models.execution import mamba_weights
from mambadfuse.models.mamba import Mamba, MambaStack
from mambadfuse.models.scan_order import reading_order
from mambadfuse.ops.cpu import mamba_inner_forward, pipeline


@pytest.fixture
def threads():
    """Sets the number of threads; the old number comes back after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def run(stage: pipeline.Stage, length: int, tile: int) -> None:
    for first in range(0, length, tile):
        stage(first, min(first + tile, length))


def random_norm(dim: int) -> nn.LayerNorm:
    norm = nn.LayerNorm(dim)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    return norm


SIZES = [(16, 16, 4), (60, 16, 4), (33, 5, 2), (128, 20, 3)]  # model width, states, width of the convolution


@pytest.mark.parametrize(("dim", "state", "width"), SIZES)
@pytest.mark.parametrize("length", [1, 5, mamba_inner_forward.TILE, 2 * mamba_inner_forward.TILE + 7])
def test_a_unit_equals_its_modules_in_float64(dim: int, state: int, width: int, length: int):
    torch.manual_seed(0)
    unit, norm = Mamba(MambaConfig(dim, state, width)), random_norm(dim)
    x, residual, out = torch.randn(3, 2, length, dim)
    with torch.no_grad():
        unit.double(), norm.double()
        total = (x + residual).double()
        expected = out + unit(norm(norm(total)))
        unit.float(), norm.float()
        run(
            pipeline.mamba_inner_stage(x, out, mamba_weights(unit), norm, 2, residual, accumulate=True),
            length,
            13,
        )
    torch.testing.assert_close(out, expected.float(), rtol=0, atol=2e-6 * expected.abs().max().item())
    torch.testing.assert_close(residual, total.float())


@pytest.mark.parametrize(("dim", "state", "width"), [*SIZES, (20, 3, 1)])
@pytest.mark.parametrize("direction", ["right", "left", "down", "up"])
@pytest.mark.parametrize("shared", [False, True])
def test_a_unit_reads_in_any_order_whole_or_shared_by_threads(
    dim, state, width, direction, shared, monkeypatch
):
    torch.manual_seed(0)
    height, length = 11, 11 * 13
    unit, norm = Mamba(MambaConfig(dim, state, width, expand=1 if dim == 20 else 2)), random_norm(dim)
    unit.direction = direction
    order, (x, residual) = reading_order(direction, length, height), torch.randn(2, 2, length, dim)
    with torch.no_grad():
        unit.double(), norm.double()
        total = (x + residual).double()
        expected = unit(norm(total), height=height).float()
        unit.float(), norm.float()
        stages = (
            pipeline.mamba_inner_stages(x, mamba_weights(unit), norm, residual, order)
            if shared
            else [pipeline.mamba_inner_stage(x, x, mamba_weights(unit), norm, 1, residual, order=order)]
        )
        monkeypatch.setattr(pipeline, "TILE", 50)
        pipeline.run_pipeline(stages, length)
    torch.testing.assert_close(x, expected, rtol=0, atol=2e-6 * expected.abs().max().item())
    torch.testing.assert_close(residual, total.float())


def test_a_unit_may_overwrite_what_it_reads():
    unit, x = Mamba(MambaConfig(60)), torch.randn(1, 130, 60)
    with torch.no_grad():
        expected = unit(x)
        run(pipeline.mamba_inner_stage(x, x, mamba_weights(unit)), 130, 50)
    torch.testing.assert_close(x, expected)


def test_a_norm_stage_keeps_the_sum():
    norm, (x, residual) = random_norm(33), torch.randn(2, 2, 70, 33)
    total = x + residual
    with torch.no_grad():
        run(pipeline.norm_stage(x, residual, norm), 70, 50)
        torch.testing.assert_close(x, norm(total))
    torch.testing.assert_close(residual, total)


def pictures() -> Tensor:
    return torch.rand(2, 2, 1, 11, 29)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["published", "figure", "lite"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"exchange_residual": False},
        {"exchange_period": 0},
        {"scan_order": "alternating"},
        {"scan_order": "alternating", "exchange_residual": False},
    ],
)
def test_the_network_streams_to_the_same_picture_on_any_tiles_and_threads(
    threads, monkeypatch, preset, changes
):
    torch.manual_seed(0)
    config = getattr(MambaDFuseConfig, preset)().to_dict()
    depths = {"extraction_depth": 2, "deep_depth": 2, "reconstruction_depth": 2}
    model = MambaDFuse(MambaDFuseConfig(**{**config, **depths, **changes}))
    a, b = pictures()
    expected = model(a, b).detach()
    found = []
    for tile, count in ((1024, 1), (1024, 2), (50, 2), (16, 5)):
        threads(count)
        monkeypatch.setattr(pipeline, "TILE", tile)
        with torch.inference_mode():
            found.append(model(a, b))
    torch.testing.assert_close(found[0], expected, rtol=0, atol=2e-6)
    for other in found[1:]:  # a shared gate is computed by PyTorch, whose rounding depends on the threads
        torch.testing.assert_close(other, found[0], rtol=0, atol=0 if model.config.gate == "own" else 1e-6)


def test_a_stack_changes_nothing_that_it_is_given():
    stack, x = MambaStack(MambaConfig(16), 2), torch.randn(1, 40, 16)
    kept = x.clone()
    with torch.no_grad():
        stack(x)
    assert torch.equal(x, kept)


def test_fused_units_are_for_float32_on_a_cpu():
    x = torch.zeros(1, 1, 16)
    with torch.inference_mode():
        assert ops.supports_mamba_inner(x)
        assert not ops.supports_mamba_inner(x.double())
        assert not ops.supports_mamba_inner(x.bfloat16())
        assert not ops.supports_mamba_inner(x[..., :15])
        with ops.use_backend("torch"):
            assert not ops.supports_mamba_inner(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert not ops.supports_mamba_inner(x)


def test_a_hook_on_any_part_is_called():
    stack, heard = MambaStack(MambaConfig(16), 2), []
    stack.blocks[1].mamba.ssm.register_forward_hook(lambda *_: heard.append(1))
    with torch.inference_mode():
        stack(torch.randn(1, 40, 16))
    assert heard


def test_every_stage_of_a_pipeline_sees_every_token_once_and_in_order(threads, monkeypatch):
    monkeypatch.setattr(pipeline, "TILE", 3)
    for count in (1, 2, 7):
        threads(count)
        seen: list[list[int]] = [[], [], []]

        def stage(k: int, first: int, stop: int, seen: list[list[int]] = seen) -> None:
            assert k == 0 or len(seen[k - 1]) >= stop
            seen[k].extend(range(first, stop))

        stages = [lambda first, stop, k=k: stage(k, first, stop) for k in range(3)]
        pipeline.run_pipeline(stages, 100)
        assert seen == [list(range(100))] * 3


@pytest.mark.parametrize("count", [1, 2, 4])
def test_an_error_in_one_stage_ends_the_pipeline(threads, monkeypatch, count):
    monkeypatch.setattr(pipeline, "TILE", 3)
    threads(count)

    def fail(first: int, stop: int) -> None:
        if first == 30:
            raise ArithmeticError("here")

    with pytest.raises(ArithmeticError, match="here"):
        pipeline.run_pipeline([lambda first, stop: None, fail, lambda first, stop: None], 100)
