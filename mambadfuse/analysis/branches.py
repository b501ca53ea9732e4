"""Which of the three branches of an M3 block contributes most to each pixel, and how far their gates are open.

Letters: B batch, L length (tokens), C model width, E inner width, H and W height and width.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mambadfuse.analysis.colormap import Picture, coloured, common_range
from mambadfuse.fusion.postprocess import postprocess
from mambadfuse.models.deep_fusion import M3Block
from mambadfuse.models.mamba import to_map
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.models.scan_order import in_raster_order, reading_order

Map = NDArray[np.floating]
BRANCHES = {"f": "fused", "a": "a", "b": "b"}
"""Of each branch the letter and the name, in which the names of its modules end."""


@dataclass(frozen=True)
class BlockMaps:
    """Maps of one M3 block, by the letter of the branch: "f" the fused stream, "a" and "b" the modalities.

    Attributes:
        shares: (H, W) each, in [0, 1], summing to 1; see :func:`branch_maps`.
        gates: the mean of |silu(z)| over the E channels, (H, W) each; only "f" if the gate is shared.
    """

    shares: dict[str, Map]
    gates: dict[str, Map]

    def winner(self) -> Map:
        """1 where a has the largest share, 0 where b has, 1/2 where the fused stream has, (H, W)."""
        return np.argmax([self.shares[k] for k in "bfa"], axis=0) / 2


def with_gate(model: MambaDFuse, gate: str) -> MambaDFuse:
    """The same weights with another gate: a counterfactual, not a trained network.

    From "own" to "shared", the gates of the modalities are dropped. The reverse is impossible: there are no weights.

    Raises:
        ValueError: the gate is unknown, or a network with a shared gate would need gates of its own.
    """
    if gate == model.config.gate:
        return model
    if gate != "shared":
        raise ValueError(f"a network trained with the gate {model.config.gate!r} has no weights for {gate!r}")
    twin = MambaDFuse(replace(model.config, gate="shared")).to(next(model.parameters()))
    # the first rows of in_proj_a and in_proj_b make the stream, the others the gate
    weights = model.state_dict()
    twin.load_state_dict({name: weights[name][: len(t)] for name, t in twin.state_dict().items()})
    twin.contrast = model.contrast
    return twin.train(model.training)


@dataclass(frozen=True)
class DeepInputs:
    """What enters deep fusion: the fused stream f, the guides a and b, (1, L, C) each, and the height H of the map."""

    f: Tensor
    a: Tensor
    b: Tensor
    height: int


def deep_inputs(model: MambaDFuse, a: Tensor, b: Tensor) -> DeepInputs:
    """What enters deep fusion for one pair, (1, 1, H, W) each: the same for every gate, which comes later."""
    like = next(model.parameters())
    entered: list[DeepInputs] = []
    hook = model.deep.register_forward_pre_hook(lambda module, inputs: entered.append(DeepInputs(*inputs)))
    try:
        with torch.inference_mode():
            model(a.to(like), b.to(like))
    finally:
        hook.remove()
    return entered[0]


def _fused(model: MambaDFuse, entering: DeepInputs) -> Tensor:
    """From deep fusion on, the fused image, (H, W)."""
    f = model.deep(entering.f, entering.a, entering.b, entering.height)
    fused = model.reconstruction(model.token_norm(f), entering.height)
    return postprocess(fused, model.contrast)[0, 0]


def branch_maps(model: MambaDFuse, a: Tensor, b: Tensor) -> tuple[list[BlockMaps], Map]:
    """The maps of every M3 block for one pair, (1, 1, H, W) each, and the fused image, (H, W).

    After the gates a block is linear, so its output is the sum of what the three scans contribute:

        f' = c_f + c_a + c_b + bias,   c_k = o_k + conv(o_k),   o_k = out_proj(y_k silu(z_k))

    The share of a branch is the norm of its contribution over the sum of all three norms, at each pixel:
    |c_k| / (|c_f| + |c_a| + |c_b|).

    Args:
        model: the network.
        a: first image, (1, 1, H, W), in [0, 1].
        b: second image, (1, 1, H, W), in [0, 1].

    Raises:
        ValueError: deep fusion is not made of M3 blocks.
    """
    _require_m3(model)
    return maps_from(model, deep_inputs(model, a, b))


def maps_from(model: MambaDFuse, entering: DeepInputs) -> tuple[list[BlockMaps], Map]:
    """:func:`branch_maps` from :func:`deep_inputs` on."""
    _require_m3(model)
    with torch.inference_mode(), _recording(model) as recorded:
        fused = _fused(model, entering)
        layers = cast(Iterable[M3Block], model.deep.blocks)
        blocks = [_block_maps(block, recorded[k], entering.height) for k, block in enumerate(layers)]
    return blocks, fused.cpu().numpy()


def branch_effects(model: MambaDFuse, a: Tensor, b: Tensor) -> dict[str, Map]:
    """How far each pixel of the fused image moves if one branch falls silent in all M3 blocks, (H, W) in grey levels.

        e_k = 255 |F − F without k|,   k = f, a, b

    A second opinion on the shares of :func:`branch_maps`, whose arguments these are: shares measure lengths inside the
    network, and long vectors may cancel each other.

    Raises:
        ValueError: deep fusion is not made of M3 blocks.
    """
    _require_m3(model)
    entering = deep_inputs(model, a, b)
    with torch.inference_mode():
        whole = _fused(model, entering)
    return effects_from(model, entering, whole.cpu().numpy())


def effects_from(model: MambaDFuse, entering: DeepInputs, fused: Map) -> dict[str, Map]:
    """:func:`branch_effects` from :func:`deep_inputs` and the fused image on: what comes before is always the same."""
    _require_m3(model)
    effects = {}
    with torch.inference_mode():
        for k, suffix in BRANCHES.items():
            with _silenced(model, suffix):
                effects[k] = 255 * np.abs(fused - _fused(model, entering).cpu().numpy())
    return effects


def _require_m3(model: MambaDFuse) -> None:
    if model.config.fusion_block != "m3":
        raise ValueError(
            f"expected a network of M3 blocks, found the fusion block {model.config.fusion_block}"
        )


@contextmanager
def _silenced(model: MambaDFuse, suffix: str) -> Iterator[None]:
    """Within the block, the scans of one branch return zeros."""
    scans = [getattr(block, f"ssm_{suffix}") for block in model.deep.blocks]
    hooks = [scan.register_forward_hook(lambda module, inputs, y: torch.zeros_like(y)) for scan in scans]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


Recorded = dict[int, dict[str, list[Tensor]]]  # by block and module; one tensor per tile


@contextmanager
def _recording(model: MambaDFuse) -> Iterator[Recorded]:
    """Within the block, records the outputs of the scans and projections of every M3 block, tile by tile."""
    recorded: Recorded = defaultdict(lambda: defaultdict(list))

    def record(k: int, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, inputs, output: recorded[k][name].append(output)

    names = [f"{kind}_{suffix}" for kind in ("ssm", "in_proj") for suffix in BRANCHES.values()]
    hooks = [
        getattr(block, name).register_forward_hook(record(k, name))
        for k, block in enumerate(model.deep.blocks)
        for name in names
    ]
    try:
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()


def _block_maps(block: M3Block, recorded: dict[str, list[Tensor]], height: int) -> BlockMaps:
    read = {name: torch.cat(tiles, dim=1) for name, tiles in recorded.items()}  # (1, L, E) or (1, L, 2 E)
    tokens = next(iter(read.values()))
    order = reading_order(block.direction, tokens.shape[1], height, tokens.device)
    whole = {name: in_raster_order(x, order) for name, x in read.items()}
    gated = BRANCHES if block.gate == "own" else {"f": "fused"}
    gates = {k: F.silu(whole[f"in_proj_{suffix}"].chunk(2, dim=-1)[1]) for k, suffix in gated.items()}
    lengths = {}
    for k, suffix in BRANCHES.items():
        y = whole[f"ssm_{suffix}"] if block.gate == "own" else whole[f"ssm_{suffix}"] * gates["f"]
        c = to_map(block.out_proj(y), height)  # (1, L, E) -> (1, L, C) -> (1, C, H, W)
        if block.conv is not None:
            c = c + F.conv2d(c, block.conv.weight, padding=1, groups=c.shape[1])
        lengths[k] = c[0].norm(dim=0)  # (H, W)
    total = torch.stack(list(lengths.values())).sum(0).clamp(min=1e-12)
    return BlockMaps(
        {k: (length / total).cpu().numpy() for k, length in lengths.items()},
        {k: to_map(z.abs().mean(-1, keepdim=True), height)[0, 0].cpu().numpy() for k, z in gates.items()},
    )


def branch_pictures(maps: BlockMaps) -> dict[str, Picture]:
    """Shares, winner and gates by title, for display: dark is 0, bright the largest share or the most open gate."""
    pictures = _on_one_scale("share", maps.shares)
    pictures["winner: white a, grey f, black b"] = coloured(maps.winner(), 0, 1, "gray")
    return pictures | _on_one_scale("gate", maps.gates)


def effect_pictures(effects: dict[str, Map]) -> dict[str, Picture]:
    """The maps of :func:`branch_effects` by title, on one scale from 0, for display."""
    return _on_one_scale("effect", effects)


def _on_one_scale(kind: str, maps: dict[str, Map]) -> dict[str, Picture]:
    _, top = common_range(maps.values())
    return {f"{kind} of {BRANCHES[k]}, mean {x.mean():.2f}": coloured(x, 0, top) for k, x in maps.items()}
