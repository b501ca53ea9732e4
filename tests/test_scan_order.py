"""The order of a scan: a permutation of the map that turns from block to block, and changes nothing else."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from mambadfuse import MambaDFuse, MambaDFuseConfig, ops
from mambadfuse.models import execution
from mambadfuse.models.checkpoints import load, save
from mambadfuse.models.config import MambaConfig
from mambadfuse.models.flops import forward_flops
from mambadfuse.models.mamba import Mamba, MambaStack
from mambadfuse.models.scan_order import DIRECTIONS, in_order, in_raster_order, reading_order, scan_direction

HEIGHT, WIDTH = 5, 7
TINY = MambaDFuseConfig(
    dim=8,
    state=4,
    extraction_depth=2,
    exchange_depth=1,
    deep_depth=1,
    reconstruction_depth=2,
    scan_order="alternating",
)


def unit(direction: str, mixer: str = "scan", dim: int = 6) -> Mamba:
    """Units that differ only in their direction."""
    torch.manual_seed(0)
    config = MambaConfig(dim, state=3, mixer=mixer, scan_order="alternating")
    return Mamba(config, DIRECTIONS.index(direction)).double()


def tokens(dim: int = 6) -> Tensor:
    return torch.randn(
        2, HEIGHT * WIDTH, dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


def transposed(x: Tensor, height: int) -> Tensor:
    return x.unflatten(1, (height, -1)).transpose(1, 2).flatten(1, 2)


@pytest.mark.parametrize(
    ("direction", "order"),
    [
        ("right", [0, 1, 2, 3, 4, 5]),
        ("left", [5, 4, 3, 2, 1, 0]),
        ("down", [0, 3, 1, 4, 2, 5]),
        ("up", [5, 2, 4, 1, 3, 0]),
    ],
)
def test_the_orders_of_a_map_of_two_rows_and_three_columns(direction, order):
    assert reading_order(direction, 6, height=2).tolist() == order


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4), (4, 1), (5, 7)])
def test_there_and_back_is_the_same_map(direction, height, width):
    x = torch.randn(2, height * width, 3)
    order = reading_order(direction, height * width, height)
    torch.testing.assert_close(in_raster_order(in_order(x, order), order), x, rtol=0, atol=0)
    torch.testing.assert_close(in_order(in_raster_order(x, order), order), x, rtol=0, atol=0)


@pytest.mark.parametrize("mixer", ["scan", "bidirectional"])
def test_turning_the_map_turns_the_direction(mixer):
    x, right = tokens(), unit("right", mixer)
    turned = {
        "left": right(x.flip(1)).flip(1),
        "down": transposed(right(transposed(x, HEIGHT)), WIDTH),
        "up": transposed(right(transposed(x, HEIGHT).flip(1)).flip(1), WIDTH),
    }
    for direction, expected in turned.items():
        found = unit(direction, mixer)(x, height=HEIGHT)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_scan_sees_what_it_has_read_and_nothing_else():
    seen = {}
    for direction in DIRECTIONS:
        x = tokens().requires_grad_()
        output = unit(direction)(x, height=HEIGHT).unflatten(1, (HEIGHT, WIDTH))
        output[:, 2, 3].sum().backward()
        seen[direction] = x.grad[0].abs().sum(-1).view(HEIGHT, WIDTH) > 0
    row, column = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    assert torch.equal(seen["right"], (row < 2) | (row == 2) & (column <= 3))
    assert torch.equal(seen["left"], (row > 2) | (row == 2) & (column >= 3))
    assert torch.equal(seen["down"], (column < 3) | (column == 3) & (row <= 2))
    assert torch.equal(seen["up"], (column > 3) | (column == 3) & (row >= 2))


def test_directions_turn_through_the_depth_of_the_network():
    model = MambaDFuse(TINY)
    blocks = [*model.high_level_b.blocks, *model.shallow.exchange, *model.deep.blocks]
    blocks += model.reconstruction.stack.blocks
    found = [
        {
            part.direction
            for part in block.modules()
            if isinstance(part, Mamba) or part is model.deep.blocks[0]
        }
        for block in blocks
    ]
    assert [{"right"}, {"left"}, {"down"}, {"up"}, {"right"}, {"left"}] == found
    assert [b.mamba.direction for b in model.high_level_a.blocks] == ["right", "left"]


def test_every_token_reaches_every_other_one():
    torch.manual_seed(0)
    stack = MambaStack(MambaConfig(dim=6, state=3, scan_order="alternating"), depth=2).double()
    x = tokens().requires_grad_()
    branch, _ = stack(x, height=HEIGHT)
    for token in (0, HEIGHT * WIDTH // 2, HEIGHT * WIDTH - 1):
        (gradient,) = torch.autograd.grad(branch[0, token].sum(), x, retain_graph=True)
        assert (gradient[0].abs().sum(-1) > 0).all()


def test_it_costs_neither_weights_nor_operations():
    raster = replace(TINY, scan_order="raster")
    shapes = [{n: p.shape for n, p in MambaDFuse(c).state_dict().items()} for c in (raster, TINY)]
    assert shapes[0] == shapes[1]
    assert forward_flops(TINY, 8, 9) == forward_flops(raster, 8, 9)


def test_a_convolution_reads_in_no_order():
    config = replace(TINY, mixer="convolution")
    assert {scan_direction(config, index) for index in range(4)} == {"right"}
    model, raster = MambaDFuse(config), MambaDFuse(replace(config, scan_order="raster"))
    raster.load_state_dict(model.state_dict())
    pair = torch.rand(2, 1, 1, 6, 8)
    assert torch.equal(model(*pair), raster(*pair))


@pytest.mark.parametrize("direction", ["down", "up"])
def test_columns_need_the_height_of_the_map(direction):
    with pytest.raises(ValueError, match=f"{direction!r} needs the height"):
        unit(direction)(tokens())


def test_caches_continue_raster_order_only():
    stack = MambaStack(MambaConfig(dim=6, scan_order="alternating"), depth=2)
    with pytest.raises(ValueError, match="must have the direction 'right'"):
        stack(torch.zeros(1, 4, 6), caches={}, height=2)


def test_an_unknown_order_is_named():
    with pytest.raises(
        ValueError, match=r"scan_order must be one of \('raster', 'alternating'\), found 'spiral'"
    ):
        MambaConfig(scan_order="spiral")


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_without_kernels_a_scan_is_given_a_tile_at_a_time(monkeypatch, backend):
    torch.manual_seed(0)
    model, lengths = MambaDFuse(TINY).double(), set()
    pair = torch.rand(2, 1, 1, HEIGHT, WIDTH, dtype=torch.float64)
    whole = model(*pair).detach()
    for name, part in model.named_modules():
        if "ssm" in name.rpartition(".")[2]:
            part.register_forward_hook(lambda part, inputs, output: lengths.add(inputs[0].shape[1]))
    monkeypatch.setattr(execution, "TILE", 8)
    with torch.inference_mode(), ops.use_backend(backend):
        torch.testing.assert_close(model(*pair), whole, rtol=0, atol=1e-12)
    assert lengths == {8, HEIGHT * WIDTH % 8}


def test_a_file_keeps_the_order(tmp_path):
    path = tmp_path / "w.safetensors"
    save(MambaDFuse(TINY), path)
    assert load(path).config == TINY


def test_weights_from_before_there_were_orders_are_read_in_raster_order(tmp_path):
    path = tmp_path / "w.safetensors"
    save(MambaDFuse(replace(TINY, scan_order="raster")), path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["config"])
    del config["scan_order"]
    save_file(load_file(path), path, metadata | {"config": json.dumps(config)})
    model = load(path)
    assert model.config.scan_order == "raster"
    assert {part.direction for part in model.modules() if isinstance(part, Mamba)} == {"right"}
