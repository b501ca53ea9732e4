"""Which of the three branches of an M3 block carries each pixel, and how wide their gates stand.

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

Map = NDArray[np.floating]
BRANCHES = {"f": "fused", "a": "a", "b": "b"}  # letter -> suffix of the block's modules
NAMES = {"f": "fused", "a": "a", "b": "b"}


@dataclass(frozen=True)
class BlockMaps:
    """What one M3 block did, by the letter of the branch: "f" fused stream, "a" and "b" the modalities.

    Attributes:
        shares: (H, W), the three add up to 1; see :func:`branch_maps`.
        gates: mean over the E channels of |silu(z)|, (H, W); "f" alone if all branches share its gate.
    """

    shares: dict[str, Map]
    gates: dict[str, Map]

    def winner(self) -> Map:
        """1 where a has the largest share, 0 where b has, 1/2 where the fused stream has, (H, W)."""
        return np.argmax([self.shares[k] for k in "bfa"], axis=0) / 2


def with_gate(model: MambaDFuse, gate: str) -> MambaDFuse:
    """The network with the weights it has and the other gate: a question of what if, not a trained network.

    From "own" to "shared" the gates of the modalities are dropped. The way back has no weights to fill in.

    Raises:
        ValueError: no such gate, or a network with a shared gate is asked for own ones.
    """
    if gate == model.config.gate:
        return model
    if gate != "shared":
        raise ValueError(f"a network trained with the gate {model.config.gate!r} has no weights for {gate!r}")
    twin = MambaDFuse(replace(model.config, gate="shared")).to(next(model.parameters()))
    weights = model.state_dict()  # in_proj_a, in_proj_b: the first rows make the stream, the others the gate
    twin.load_state_dict({name: weights[name][: len(t)] for name, t in twin.state_dict().items()})
    twin.contrast = model.contrast
    return twin.train(model.training)


def branch_maps(model: MambaDFuse, a: Tensor, b: Tensor) -> tuple[list[BlockMaps], Map]:
    """The maps of every M3 block for one pair, (1, 1, H, W) each, and the fused picture, (H, W).

    After the gates a block is linear, so that its new branch is a sum of what each of the scans contributed:

        f' = c_f + c_a + c_b + bias,   c_k = o_k + conv(o_k),   o_k = out_proj(y_k silu(z_k))

    The share of a branch is the length of its contribution among all three, |c_k| / (|c_f| + |c_a| + |c_b|).
    """
    like, height = next(model.parameters()), a.shape[2]
    with torch.inference_mode(), _listening(model) as heard:
        fused = model(a.to(like), b.to(like))
        layers = cast(Iterable[M3Block], model.deep.blocks)
        blocks = [_block_maps(block, heard[k], height) for k, block in enumerate(layers)]
    return blocks, postprocess(fused, model.contrast)[0, 0].cpu().numpy()


Heard = dict[int, dict[str, list[Tensor]]]


@contextmanager
def _listening(model: MambaDFuse) -> Iterator[Heard]:
    """Inside, what scans and projections of every M3 block put out is kept, tile by tile."""
    heard: Heard = defaultdict(lambda: defaultdict(list))

    def note(k: int, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, inputs, output: heard[k][name].append(output)

    names = [f"{kind}_{suffix}" for kind in ("ssm", "in_proj") for suffix in BRANCHES.values()]
    hooks = [
        getattr(block, name).register_forward_hook(note(k, name))
        for k, block in enumerate(model.deep.blocks)
        for name in names
    ]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _block_maps(block: M3Block, heard: dict[str, list[Tensor]], height: int) -> BlockMaps:
    whole = {name: torch.cat(tiles, dim=1) for name, tiles in heard.items()}  # (1, L, E) or (1, L, 2 E)
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
    """Shares, winner and gates by title, to be shown: dark is 0, bright the largest share, or the widest gate."""
    pictures = _on_one_scale("share", maps.shares)
    pictures["winner: white a, grey f, black b"] = coloured(maps.winner(), 0, 1, "gray")
    return pictures | _on_one_scale("gate", maps.gates)


def _on_one_scale(kind: str, maps: dict[str, Map]) -> dict[str, Picture]:
    _, top = common_range(maps.values())
    return {f"{kind} of {NAMES[k]}, mean {x.mean():.2f}": coloured(x, 0, top) for k, x in maps.items()}
