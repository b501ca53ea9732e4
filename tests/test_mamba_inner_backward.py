"""Fused Mamba units with gradients: equal to the modules in float64, on any number of threads."""

import pytest
import torch
from torch import Tensor, nn

from mambadfuse import MambaDFuse, MambaDFuseConfig, ops
from mambadfuse.models.config import MambaConfig
from mambadfuse.models.mamba import Mamba
from mambadfuse.models.scan_order import DIRECTIONS
from mambadfuse.ops.cpu import mamba_inner_forward

SIZES = [(16, 16, 4), (60, 16, 4), (33, 5, 2), (80, 20, 3)]  # model width, states, width of the convolution
TILE = mamba_inner_forward.TILE


@pytest.fixture
def threads():
    """Sets the number of threads; the old number comes back after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def gradients(module: nn.Module, x: Tensor, **options: int) -> dict[str, Tensor]:
    """Output, and the gradients of a fixed random sum of it for the input and every weight."""
    x = x.detach().requires_grad_()
    y = module(x, **options)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y)
    wanted = dict(module.named_parameters())
    found = torch.autograd.grad((y * weights).sum(), [x, *wanted.values()])
    return {"output": y.detach(), **dict(zip(["input", *wanted], found, strict=True))}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_gradient_equals_that_of_the_modules_in_every_order(direction: str):
    torch.manual_seed(0)
    unit, x = Mamba(MambaConfig(33, 5)), torch.randn(2, 11 * 13, 33)
    unit.direction = direction
    found = gradients(unit, x, height=11)
    expected = gradients(unit.double(), x.double(), height=11)
    for name, wanted in expected.items():
        error = (found[name] - wanted).abs().max() / wanted.abs().max()
        assert not error > 1e-5, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize(("dim", "state", "width"), SIZES)
@pytest.mark.parametrize("length", [1, TILE, 2 * TILE + 1, 3 * TILE - 1])
def test_every_gradient_equals_that_of_the_modules_in_float64(dim: int, state: int, width: int, length: int):
    torch.manual_seed(0)
    unit, x = Mamba(MambaConfig(dim, state, width)), torch.randn(2, length, dim)
    nn.init.normal_(unit.ssm.dt_proj.bias)  # steps long and short
    found = gradients(unit, x)
    expected = gradients(unit.double(), x.double())
    for name, wanted in expected.items():
        error = (found[name] - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)
        assert not error > 1e-5, f"{name}: relative error {error:.1e}"


def test_threads_change_no_bit(threads):
    torch.manual_seed(0)
    unit, x = Mamba(MambaConfig(60)), torch.randn(3, 130, 60)
    found = []
    for count in (1, 2, 3):
        threads(count)
        found.append(gradients(unit, x))
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name in found[0])


@pytest.mark.parametrize("preset", ["published", "figure", "lite"])
@pytest.mark.parametrize("order", ["raster", "alternating"])
def test_the_network_learns_as_on_the_torch_backend(preset: str, order: str):
    torch.manual_seed(0)
    config = getattr(MambaDFuseConfig, preset)().to_dict()
    depths = {"extraction_depth": 1, "deep_depth": 2, "reconstruction_depth": 1, "exchange_depth": 1}
    model = MambaDFuse(MambaDFuseConfig(**{**config, **depths, "scan_order": order}))
    a, b = torch.rand(2, 2, 1, 9, 13)

    def step(backend: str) -> dict[str, Tensor]:
        with ops.use_backend(backend):
            return dict(zip([n for n, _ in model.named_parameters()], torch.autograd.grad(
                model(a, b).square().mean(), list(model.parameters())), strict=True))  # fmt: skip

    expected = step("torch")
    for name, found in step("numba").items():
        scale = expected[name].abs().max().clamp_min(1e-7)
        assert (found - expected[name]).abs().max() < 1e-3 * scale, name


def test_a_hook_on_the_scan_is_called_in_training_too():
    unit, heard = Mamba(MambaConfig(16)), []
    unit.ssm.register_forward_hook(lambda *_: heard.append(1))
    unit(torch.randn(1, 9, 16)).sum().backward()
    assert heard
