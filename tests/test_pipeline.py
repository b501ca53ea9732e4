"""Without gradients the network runs tile by tile: the result must not depend on that."""

import pytest
import torch

from mambadfuse import MambaDFuse, MambaDFuseConfig, ops
from mambadfuse.models import mamba
from mambadfuse.models.mamba import Memory, SelectiveSSM, in_tiles

SMALL = {"dim": 8, "state": 4, "extraction_depth": 2, "deep_depth": 2, "reconstruction_depth": 2}


@pytest.mark.parametrize("tile", [1, 3, 16])
@pytest.mark.parametrize("preset", ["published", "figure"])
@pytest.mark.parametrize("mixer", ["scan", "two_scans", "convolution"])
def test_the_fused_picture_does_not_depend_on_the_tile_length(monkeypatch, tile, preset, mixer):
    torch.manual_seed(0)
    config = getattr(MambaDFuseConfig, preset)()
    model = MambaDFuse(type(config)(**{**config.to_dict(), **SMALL, "mixer": mixer})).double()
    a, b = torch.rand(2, 2, 1, 5, 7, dtype=torch.float64)
    whole = model(a, b).detach()
    monkeypatch.setattr(mamba, "TILE", tile)
    with torch.inference_mode():
        tiled = model(a, b)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-12)


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


def test_memory_continues_where_the_last_call_stopped():
    torch.manual_seed(0)
    ssm = SelectiveSSM(inner=6, rank=1, state=3).double()
    u, z = torch.randn(2, 2, 10, 6, dtype=torch.float64)
    whole, memory = ssm(u, z), Memory()
    pieces = [ssm(u[:, s], z[:, s], memory=memory) for s in (slice(0, 1), slice(1, 3), slice(3, 10))]
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=0, atol=1e-12)


def test_tiles_are_used_only_where_no_gradient_is_wanted(monkeypatch):
    monkeypatch.setattr(mamba, "TILE", 4)
    lengths = []

    def spy(x):
        lengths.append(x.shape[1])
        return (x * 2,)

    x = torch.randn(1, 10, 3)
    (with_gradient,) = in_tiles(spy, x)
    with torch.no_grad():
        (without,) = in_tiles(spy, x)
    assert lengths == [10, 4, 4, 2]
    assert torch.equal(with_gradient, without)
