"""However the equations are carried out, whole, in tiles or by kernels, the result is the same."""

import pytest
import torch
from torch import nn

from mambadfuse import MambaDFuse, MambaDFuseConfig, ops
from mambadfuse.models import execution
from mambadfuse.models.config import MambaConfig
from mambadfuse.models.deep_fusion import M3Block
from mambadfuse.models.mamba import Mamba, MambaStack, SelectiveSSM

ORDERS = ["raster", "alternating"]
SMALL = {"dim": 8, "state": 4, "extraction_depth": 2, "deep_depth": 2, "reconstruction_depth": 2}


@pytest.mark.slow
@pytest.mark.parametrize("tile", [1, 3, 16])
@pytest.mark.parametrize("preset", ["published", "figure"])
@pytest.mark.parametrize("mixer", ["scan", "bidirectional", "convolution"])
@pytest.mark.parametrize("order", ORDERS)
def test_the_fused_picture_does_not_depend_on_the_tile_length(monkeypatch, tile, preset, mixer, order):
    torch.manual_seed(0)
    config = getattr(MambaDFuseConfig, preset)()
    changes = {**SMALL, "mixer": mixer, "scan_order": order}
    model = MambaDFuse(type(config)(**{**config.to_dict(), **changes})).double()
    a, b = torch.rand(2, 2, 1, 5, 7, dtype=torch.float64)
    whole = model(a, b).detach()
    monkeypatch.setattr(execution, "TILE", tile)
    with torch.inference_mode():
        tiled = model(a, b)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "threads"), [("reference", 1), ("torch", 1), ("numba", 1), ("numba", 2)])
@pytest.mark.parametrize("order", ORDERS)
def test_backends_and_threads_agree_on_a_picture(backend, threads, order):
    torch.manual_seed(0)
    model = MambaDFuse(
        MambaDFuseConfig(dim=16, extraction_depth=2, deep_depth=2, reconstruction_depth=2, scan_order=order)
    )
    a, b = torch.rand(2, 1, 1, 24, 20)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode(), ops.use_backend(backend):
            fused = model.float()(a, b)
        with torch.inference_mode():
            exact = model.double()(a.double(), b.double()).float()
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(fused, exact, rtol=0, atol=2e-5)


def test_caches_continue_where_the_last_call_stopped():
    torch.manual_seed(0)
    ssm = SelectiveSSM(MambaConfig(dim=3, state=3)).double()
    u, z = torch.randn(2, 2, 10, 6, dtype=torch.float64)
    whole, caches = ssm(u, z), {}
    pieces = [ssm(u[:, s], z[:, s], caches=caches) for s in (slice(0, 1), slice(1, 3), slice(3, 10))]
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(caches[ssm].conv_state, u[:, -3:])


class Recorder(nn.Module):
    """Doubles its tokens and notes how many came in each call, and whether they came with caches."""

    def __init__(self, causal: bool = True) -> None:
        super().__init__()
        self.causal, self.calls = causal, []

    @execution.carried_out()
    def forward(self, x, *, caches=None, height=None):
        self.calls.append((x.shape[1], caches is not None))
        return x * 2


def test_tiles_are_used_only_where_no_gradient_is_wanted(monkeypatch):
    monkeypatch.setattr(execution, "TILE", 4)
    x, module = torch.randn(1, 10, 3), Recorder()
    with_gradient = module(x)
    with torch.no_grad():
        without = module(x)
    assert module.calls == [(10, False), (4, True), (4, True), (2, True)]
    assert torch.equal(with_gradient, without)


@pytest.mark.parametrize(("device", "expected"), [("cpu", [4, 4, 4]), ("meta", [10, 2])])
def test_tiles_are_longer_on_a_gpu(device, expected, monkeypatch):
    """PyTorch's device without any memory stands in for the GPU."""
    monkeypatch.setattr(execution, "TILE", 4)
    monkeypatch.setattr(execution, "GPU_TILE", 10)
    module = Recorder()
    with torch.no_grad():
        assert module(torch.zeros(1, 12, 3, device=device)).shape == (1, 12, 3)
    assert [length for length, _ in module.calls] == expected


def test_what_is_not_causal_sees_all_tokens_at_once(monkeypatch):
    monkeypatch.setattr(execution, "TILE", 4)
    module = Recorder(causal=False)
    with torch.no_grad():
        module(torch.randn(1, 10, 3))
    assert module.calls == [(10, False)]


class Negated(SelectiveSSM):
    """A mixer of somebody's own that the kernels know nothing of."""

    def forward(self, *tokens, **options):
        return -super().forward(*tokens, **options)


@pytest.mark.parametrize("gradient", [True, False])
def test_a_mixer_of_ones_own_is_never_replaced_by_a_kernel(gradient):
    torch.manual_seed(0)
    unit = Mamba(MambaConfig(dim=16))
    x = torch.randn(2, 9, 16)
    with torch.set_grad_enabled(gradient):
        usual = unit(x)
        own = Negated(MambaConfig(dim=16))
        own.load_state_dict(unit.ssm.state_dict())
        unit.ssm = own
        torch.testing.assert_close(unit(x), -usual)


@pytest.mark.parametrize("gradient", [True, False])
def test_a_norm_of_ones_own_is_never_replaced_by_a_kernel(gradient):
    stack = MambaStack(MambaConfig(dim=16), depth=1)
    stack.blocks[0].norm = nn.Identity()
    with torch.set_grad_enabled(gradient):
        x = torch.randn(2, 9, 16)
        branch, residual = stack(x)
        torch.testing.assert_close(branch, stack.blocks[0].mamba(x))
    assert torch.equal(residual, x)


def tiny_network(order: str = "raster") -> MambaDFuse:
    torch.manual_seed(0)
    depths = {"extraction_depth": 2, "exchange_depth": 1, "deep_depth": 1, "reconstruction_depth": 1}
    return MambaDFuse(MambaDFuseConfig(dim=16, scan_order=order, **depths))


class SumOfBranches(M3Block):
    """An M3 block that mixes its branches in a way of its own."""

    def branches(self, f, a, b, **options):
        return 2 * super().branches(f, a, b, **options)


def with_bias(projection: nn.Linear) -> nn.Linear:
    other = nn.Linear(projection.in_features, projection.out_features)
    other.weight = projection.weight
    return other


def change_branches(model):
    block = SumOfBranches(model.config)
    block.load_state_dict(model.deep.blocks[0].state_dict())
    model.deep.blocks[0] = block


def change_forward_of_an_instance(model):
    mixer = model.high_level_a.blocks[0].mamba.ssm
    forward = mixer.forward
    mixer.forward = lambda *tokens, **options: 3 * forward(*tokens, **options)


def change_bias(model):
    unit = model.high_level_a.blocks[0].mamba
    unit.in_proj, unit.out_proj = with_bias(unit.in_proj), with_bias(unit.out_proj)


def change_convolution(model):
    model.high_level_a.blocks[0].mamba.ssm.conv.bias = None


def change_norm(model):
    model.high_level_a.blocks[0].norm = nn.LayerNorm(16, elementwise_affine=False)
    model.deep.blocks[0].norm_a = nn.Linear(16, 16)


def use_parts_twice(model):
    model.high_level_a.blocks[1] = model.high_level_a.blocks[0]
    model.deep.blocks[0].ssm_b = model.deep.blocks[0].ssm_fused
    model.shallow.exchange[0].mamba_a = model.shallow.exchange[0].mamba_b


def turn_directions(model):
    model.high_level_a.blocks[0].mamba.direction = "down"
    model.shallow.exchange[0].mamba_a.direction = "up"
    model.deep.blocks[0].direction = "left"


CHANGES = [
    change_branches,
    change_forward_of_an_instance,
    change_bias,
    change_convolution,
    change_norm,
    use_parts_twice,
    turn_directions,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("tile", [7, execution.TILE])
@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("order", ORDERS)
def test_a_network_that_was_changed_is_computed_as_it_stands(
    monkeypatch, change, tile, backend, gradient, order
):
    model = tiny_network(order)
    change(model)
    a, b = torch.rand(2, 2, 1, 5, 6)
    with ops.use_backend("reference"):
        expected = model(a, b).detach()
    monkeypatch.setattr(execution, "TILE", tile)
    with torch.set_grad_enabled(gradient), ops.use_backend(backend):
        torch.testing.assert_close(model(a, b), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_a_hook_on_a_gradient_is_called(kind):
    model, called = tiny_network(), []
    getattr(model.high_level_a.blocks[0].mamba.ssm, kind)(lambda *_: called.append(1))
    model(*torch.rand(2, 2, 1, 5, 6)).sum().backward()
    assert called


def test_a_hook_on_all_modules_is_called():
    model, called = tiny_network(), set()
    handle = torch.nn.modules.module.register_module_forward_hook(lambda part, *_: called.add(part))
    try:
        with torch.inference_mode():
            model(*torch.rand(2, 1, 1, 5, 6))
    finally:
        handle.remove()
    assert model.high_level_a.blocks[0].mamba.ssm in called


def test_a_slice_of_exchange_blocks_is_an_exchange_stack():
    exchange = MambaDFuse(MambaDFuseConfig(dim=16, exchange_depth=3)).shallow.exchange
    assert len(exchange[:2](*torch.randn(4, 1, 6, 16))) == 4


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_hook_on_any_part_is_called(kind, gradient):
    model = MambaDFuse(
        MambaDFuseConfig(dim=16, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1)
    )
    called = set()
    for name, part in model.named_modules():
        getattr(part, kind)(lambda *_, name=name: called.add(name))
    with torch.set_grad_enabled(gradient):
        model(*torch.rand(2, 2, 1, 5, 6))
    lists = {name for name, part in model.named_modules() if type(part) is nn.ModuleList}
    convolutions = {name for name, part in model.named_modules() if isinstance(part, nn.Conv1d)}
    projections = {name for name, _ in model.named_modules() if name.endswith("dt_proj")}
    assert called == {name for name, _ in model.named_modules()} - lists - convolutions - projections
