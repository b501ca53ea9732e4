"""How the equations of the network are carried out: the only file of this folder that knows of tiles and kernels.

The other files say what is computed, as the paper does. Those of their methods that run over token sequences are
decorated with :func:`carried_out`, which takes the first of these ways that is possible, anew for each call:

============  ==================================================================================  ================
way           what happens                                                                        when
============  ==================================================================================  ================
pipelined     each Mamba unit is one kernel, and several tiles are processed at a time            CPU, no gradient
fused         each Mamba unit is one kernel, and so is its gradient                               CPU
tiled         the equations, a tile of tokens at a time: no temporary is longer than a tile        no gradient
plain         the equations as they stand                                                         otherwise
============  ==================================================================================  ================

All give the same result up to rounding. The first two need the Numba backend, at least sixteen channels in float32,
and parts that the kernels know: torch's own layers in the form that they have here, and exactly the classes marked by
:func:`fusable`. None of these parts may have a hook, which would never see what stays inside a kernel. Tiling needs
causal mixers, each of them used once. Only blocks that all read the map in the same order can be taken through by the
tile: where the order changes, a block waits for all of the block before.

With the Triton backend, tiled and plain, an SSM between its unit's projections is one operation, again where its parts
are known and have no hooks; see :func:`in_one_operation`.

The functions at the end take a module apart into the weights that the kernels read; the names are those of the modules.

Letters: B batch, L length (tokens), T tokens of a tile, C model width.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import groupby
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from mambadfuse import ops
from mambadfuse.models.scan_order import Direction, in_order, in_raster_order, reading_order

TILE = 8192  # tokens: long enough to keep all cores busy, short enough for the caches of the processor
GPU_TILE = (
    2**17
)  # tokens: long enough to fill a GPU; a tensor of the published network's E channels takes 63 MB

# The layers that the kernels read: their class and whether they have a bias, by the first word of their name.
_LAYERS = {
    "in": (nn.Linear, False),
    "x": (nn.Linear, False),
    "dt": (nn.Linear, True),
    "out": (nn.Linear, False),
    "norm": (nn.LayerNorm, True),
    "conv": ((nn.Conv1d, nn.Conv2d), True),
}
_FUSABLE: set[type[nn.Module]] = {nn.ModuleList}

Method = TypeVar("Method", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type[nn.Module])


def fusable(cls: Class) -> Class:
    """Marks a class of modules whose arithmetic the kernels implement; its subclasses are not marked."""
    _FUSABLE.add(cls)
    return cls


def carried_out(
    *,
    fused: Callable[..., Any] | None = None,
    without_gradient: Callable[..., Any] | None = None,
    when: Callable[[Any], bool] = lambda module: True,
    in_scan_order: bool = False,
) -> Callable[[Method], Method]:
    """Decorates a method ``(self, *tokens, caches=None, height=None)`` that computes equations over tokens (B, L, C).

    Args:
        fused: ``(module, *tokens, height)`` -> the same result computed by kernels, with gradients.
        without_gradient: the same without gradients.
        when: whether the kernels of ``fused`` and ``without_gradient`` implement this module.
        in_scan_order: whether the equations are given their tokens in the order in which the ``direction`` of the
            module reads them; callers give and receive raster order.

    Raises:
        ValueError: the method is called with caches, but not all scans in it read in raster order.
    """

    def decorate(equations: Method) -> Method:
        @wraps(equations)
        def method(
            module: Any,
            *tokens: Tensor,
            caches: dict[nn.Module, Any] | None = None,
            height: int | None = None,
        ) -> Any:
            gradient = torch.is_grad_enabled()
            kernel = fused if gradient or without_gradient is None else without_gradient
            if caches is not None:  # a tile of a longer sequence
                if not _reads_raster_order(module):
                    raise ValueError(
                        "caches continue a map row by row: every scan must have the direction 'right'"
                    )
                return equations(module, *tokens, caches=caches, height=height)
            if kernel and ops.supports_mamba_inner(tokens[0]) and _kernels_apply(module) and when(module):
                return kernel(module, *tokens, height)
            order = _order(module.direction, tokens[0], height) if in_scan_order else None
            length = tile_length(tokens[0].device)
            tiled = not (gradient or torch.compiler.is_compiling()) and tokens[0].shape[1] > length
            if tiled and _may_be_tiled(module) and (in_scan_order or _reads_raster_order(module)):
                carried: dict[nn.Module, Any] = {}
                return _in_tiles(
                    lambda *tile: equations(module, *tile, caches=carried, height=height), order, *tokens
                )
            if order is None:
                return equations(module, *tokens, height=height)
            found = equations(module, *(in_order(x, order) for x in tokens), height=height)
            return in_raster_order(found, order)

        return cast(Method, method)

    return decorate


def tile_length(device: torch.device) -> int:
    """Tokens of a tile. A GPU is idle between the many short kernels of short tiles, and has no use for them."""
    return TILE if device.type == "cpu" else GPU_TILE


def _order(direction: Direction, x: Tensor, height: int | None) -> Tensor | None:
    """The order in which the tokens of x (B, L, C) are read; None for raster order."""
    return None if direction == "right" else reading_order(direction, x.shape[1], height, x.device)


def in_one_operation(equations: Method) -> Method:
    """Decorates the equations of an SSM, ``(ssm, u, z, A, conv_state, ssm_state)``: with Triton one operation."""

    @wraps(equations)
    def method(ssm: Any, u: Tensor, z: Tensor | None, A: Tensor, *states: Tensor | None) -> Any:
        if not (ops.supports_selective_ssm(u, ssm.rank) and _parts_are_known(ssm)):
            return equations(ssm, u, z, A, *states)
        conv, x_proj, dt_proj = ssm.conv.weight.squeeze(1), ssm.x_proj.weight, ssm.dt_proj.weight
        conv_state, ssm_state = states
        return ops.selective_ssm(
            u, conv, ssm.conv.bias, x_proj, dt_proj, ssm.dt_proj.bias, A, ssm.D, z,
            conv_state=conv_state, ssm_state=ssm_state,
        )  # fmt: skip

    return cast(Method, method)


def _kernels_apply(module: nn.Module) -> bool:
    """Whether the kernels know all parts, and no part has a hook or a ``forward`` of its own."""
    if torch.nn.modules.module._has_any_global_hook():
        return False
    return all(
        _is_known(name.rpartition(".")[2], part) and (part is module or not _is_intercepted(part))
        for name, part in module.named_modules()
    )


def _parts_are_known(ssm: nn.Module) -> bool:
    """Whether one operation may read the weights of all parts of an SSM: known layers without hooks."""
    return not torch.nn.modules.module._has_any_global_hook() and all(
        _is_known(name, part) and not _is_intercepted(part) for name, part in ssm.named_children()
    )


def _is_known(name: str, part: nn.Module) -> bool:
    if type(part) in _FUSABLE:
        return True
    kind, has_bias = _LAYERS.get(name.partition("_")[0], ((), False))
    return (
        type(part) in (kind if isinstance(kind, tuple) else (kind,)) and (part.bias is not None) == has_bias
    )


def _is_intercepted(part: nn.Module) -> bool:
    hooks = (
        part._forward_hooks,
        part._forward_pre_hooks,
        part._backward_hooks,
        part._backward_pre_hooks,
    )
    return any(hooks) or "forward" in vars(part)


def _may_be_tiled(module: nn.Module) -> bool:
    """Whether all mixers are causal, and none stands in two places, where it would need two caches."""
    places = [part for _, part in module.named_modules(remove_duplicate=False)]
    return len(places) == len(set(places)) and all(getattr(part, "causal", True) for part in places)


def _reads_raster_order(module: nn.Module) -> bool:
    """Whether all scans read in raster order."""
    return all(getattr(part, "direction", "right") == "right" for part in module.modules())


def _in_tiles(function: Callable[..., Any], order: Tensor | None, *tokens: Tensor) -> Any:
    """function(*tokens) for token sequences (B, L, C), called with tiles (B, T, C) in order and put together again.

    The order is that of the sequence, or else the one given, (L,).
    """
    length, tile = tokens[0].shape[1], tile_length(tokens[0].device)
    outputs: list[Tensor] = []
    single = False
    for start in range(0, length, tile):
        part = slice(start, min(start + tile, length)) if order is None else order[start : start + tile]
        found = function(*(x[:, part] for x in tokens))
        single = isinstance(found, Tensor)
        results = (found,) if single else found
        outputs = outputs or [r.new_empty(r.shape[0], length, r.shape[2]) for r in results]
        for whole, result in zip(outputs, results, strict=True):
            whole[:, part] = result
    return outputs[0] if single else tuple(outputs)


def mamba(unit: Any, x: Tensor, height: int | None) -> Tensor:
    """A Mamba unit as one kernel: (B, L, C) -> (B, L, C)."""
    from mambadfuse.ops.cpu.mamba_inner import mamba_inner

    return mamba_inner(x, mamba_weights(unit), _order(unit.direction, x, height))


def mamba_stack(stack: Any, x: Tensor, height: int | None) -> tuple[Tensor, Tensor]:
    """The blocks of a Mamba stack as a pipeline: (B, L, C) -> branch and running sum, (B, L, C) each.

    Blocks that read in different directions are pipelines one after the other; a single block is one of several stages.
    """
    from mambadfuse.ops.cpu.pipeline import mamba_inner_stage, mamba_inner_stages, run_pipeline

    x, residual = x.clone(memory_format=torch.contiguous_format), x.new_zeros(x.shape)
    for direction, group in groupby(stack.blocks, lambda block: block.mamba.direction):
        order = _order(direction, x, height)
        units = [(mamba_weights(block.mamba), block.norm) for block in group]
        stages = (
            mamba_inner_stages(x, *units[0], residual, order)
            if len(units) == 1
            else [
                mamba_inner_stage(x, x, weights, norm, residual=residual, order=order)
                for weights, norm in units
            ]
        )
        run_pipeline(stages, x.shape[1])
    return x, residual


def exchange_stack(
    stack: Any, a: Tensor, sum_a: Tensor, b: Tensor, sum_b: Tensor, height: int | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The exchange blocks as a pipeline, or several: norms and swap, then the Mamba units; all (B, L, C)."""
    from mambadfuse.ops.cpu.pipeline import mamba_inner_stage, norm_stage, run_pipeline

    a, sum_a, b, sum_b = (x.clone(memory_format=torch.contiguous_format) for x in (a, sum_a, b, sum_b))
    for direction, blocks in groupby(stack, lambda block: block.mamba_a.direction):
        order = _order(direction, a, height)
        stages: list[Callable[[int, int], None]] = []
        for block in blocks:
            if block.residual:
                stages += [
                    norm_stage(a, sum_a, block.norm_a, order),
                    norm_stage(b, sum_b, block.norm_b, order),
                ]
            if block.period:
                stages += [_swap_stage(a, b, block.period, order)]
            stages += [
                mamba_inner_stage(x, x, mamba_weights(unit), order=order)
                for x, unit in ((a, block.mamba_a), (b, block.mamba_b))
            ]
        run_pipeline(stages, a.shape[1])
    return a, sum_a, b, sum_b


def _swap_stage(a: Tensor, b: Tensor, period: int, order: Tensor | None) -> Callable[[int, int], None]:
    """:func:`mambadfuse.models.shallow_fusion.exchange_channels` in place."""
    swapped_a, swapped_b = a.numpy()[..., ::period], b.numpy()[..., ::period]

    def swap(first: int, stop: int) -> None:
        part = slice(first, stop) if order is None else order[first:stop].numpy()
        swapped_a[:, part], swapped_b[:, part] = swapped_b[:, part].copy(), swapped_a[:, part].copy()

    return swap


def m3_mix(
    block: Any, f: Tensor, residual: Tensor, a: Tensor, b: Tensor, height: int | None
) -> tuple[Tensor, Tensor]:
    """``M3Block.mix`` as a pipeline: f, r, a and b (B, L, C) -> out_proj(y) and r', (B, L, C) each."""
    from mambadfuse.ops.cpu.pipeline import mamba_inner_stage, run_pipeline

    f, a, b = f.contiguous(), a.contiguous(), b.contiguous()
    residual, out = residual.clone(memory_format=torch.contiguous_format), f.new_empty(f.shape)
    weights_f, weights_a, weights_b = _branches(block)
    passes, order = block.norm_passes, _order(block.direction, f, height)
    stages = [
        mamba_inner_stage(f, out, weights_f, block.norm_fused, passes, residual, order=order),
        mamba_inner_stage(a, out, weights_a, block.norm_a, passes, accumulate=True, order=order),
        mamba_inner_stage(b, out, weights_b, block.norm_b, passes, accumulate=True, order=order),
    ]
    run_pipeline(stages, f.shape[1])
    return out, residual


def m3_branches(block: Any, f: Tensor, a: Tensor, b: Tensor, height: int | None) -> Tensor:
    """``M3Block.branches`` with a kernel for each branch: f, a and b (B, L, C) -> out_proj(y), (B, L, C)."""
    from mambadfuse.ops.cpu.mamba_inner import mamba_inner

    (weights_f, weights_a, weights_b), order = _branches(block), _order(block.direction, f, height)
    return (
        mamba_inner(f, weights_f, order) + mamba_inner(a, weights_a, order) + mamba_inner(b, weights_b, order)
    )


def mamba_weights(unit: Any) -> Any:
    """The weights of a Mamba unit."""
    return _weights(unit.ssm, unit.in_proj, unit.out_proj)


def _branches(block: Any) -> Sequence[Any]:
    """The weights of the branches of f, a and b; all three share out_proj."""
    A_log_a = block.ssm_b.A_log if block.shares_state_matrix else None
    return (
        _weights(block.ssm_fused, block.in_proj_fused, block.out_proj),
        _weights(block.ssm_a, block.in_proj_a, block.out_proj, A_log_a),
        _weights(block.ssm_b, block.in_proj_b, block.out_proj),
    )


def _weights(ssm: Any, in_proj: nn.Linear, out_proj: nn.Linear, A_log: Tensor | None = None) -> Any:
    """An SSM between two projections, as the kernels read it; ``A_log`` replaces its own."""
    from mambadfuse.ops.cpu.mamba_inner import MambaInnerWeights

    return MambaInnerWeights(
        in_proj=in_proj.weight,
        conv=ssm.conv.weight.squeeze(1),
        conv_bias=ssm.conv.bias,
        x_proj=ssm.x_proj.weight,
        dt_proj=ssm.dt_proj.weight,
        dt_bias=ssm.dt_proj.bias,
        A_log=ssm.A_log if A_log is None else A_log,
        D=ssm.D,
        out_proj=out_proj.weight,
    )
