"""However the equations are carried out, whole, in tiles or by kernels, the result is the same."""

import pytest
import torch
from torch import nn

from mambadfuse import MambaDFuse, MambaDFuseConfig, ops
from mambadfuse.models import execution
from mambadfuse.models.config import MambaConfig
from mambadfuse.models.mamba import Mamba, MambaStack, SelectiveSSM

SMALL = {"dim": 8, "state": 4, "extraction_depth": 2, "deep_depth": 2, "reconstruction_depth": 2}


@pytest.mark.slow
@pytest.mark.parametrize("tile", [1, 3, 16])
@pytest.mark.parametrize("preset", ["published", "figure"])
@pytest.mark.parametrize("mixer", ["scan", "bidirectional", "convolution"])
def test_the_fused_picture_does_not_depend_on_the_tile_length(monkeypatch, tile, preset, mixer):
    torch.manual_seed(0)
    config = getattr(MambaDFuseConfig, preset)()
    model = MambaDFuse(type(config)(**{**config.to_dict(), **SMALL, "mixer": mixer})).double()
    a, b = torch.rand(2, 2, 1, 5, 7, dtype=torch.float64)
    whole = model(a, b).detach()
    monkeypatch.setattr(execution, "TILE", tile)
    with torch.inference_mode():
        tiled = model(a, b)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "threads"), [("reference", 1), ("torch", 1), ("numba", 1), ("numba", 2)])
def test_backends_and_threads_agree_on_a_picture(backend, threads):
    torch.manual_seed(0)
    model = MambaDFuse(MambaDFuseConfig(dim=16, extraction_depth=2, deep_depth=2, reconstruction_depth=2))
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
