"""The operations as operators of PyTorch, so that ``torch.compile`` can trace a network whatever the backend.

To the tracer ``mambadfuse::selective_scan`` is one opaque node with known shapes; when the node runs, it calls the
backend that was chosen. Its gradient is a second node, which runs the backend forward again and then backward.

``module`` is the full name of the backend's module.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op, register_autograd, register_fake


@custom_op("mambadfuse::selective_scan", mutates_args=())
def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    delta_softplus: bool,
    module: str,
) -> tuple[Tensor, Tensor]:
    """As in :func:`mambadfuse.ops.selective_scan`: y (B, L, D) and the last state (B, D, N)."""
    scan = import_module(module).selective_scan
    y, last_state = scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state)
    return y.contiguous(), last_state.contiguous()


@register_fake("mambadfuse::selective_scan")
def _(u: Tensor, delta: Tensor, A: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    wide = torch.float64 if u.dtype == torch.float64 else torch.float32
    return u.new_empty(u.shape), u.new_empty(u.shape[0], *A.shape, dtype=wide)


@custom_op("mambadfuse::causal_conv1d", mutates_args=())
def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None,
    activation: str | None,
    module: str,
) -> Tensor:
    """As in :func:`mambadfuse.ops.causal_conv1d`, (B, L, D)."""
    return import_module(module).causal_conv1d(x, weight, bias, activation, initial_state).contiguous()


@register_fake("mambadfuse::causal_conv1d")
def _(x: Tensor, *_: Any) -> Tensor:
    return x.new_empty(x.shape)


@custom_op("mambadfuse::selective_ssm", mutates_args=())
def selective_ssm(
    x: Tensor,
    z: Tensor | None,
    conv: Tensor,
    conv_bias: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    conv_state: Tensor | None,
    ssm_state: Tensor | None,
    module: str,
) -> tuple[Tensor, Tensor]:
    """As in :func:`mambadfuse.ops.selective_ssm`: y (B, L, D) and the last state (B, D, N)."""
    weights = conv, conv_bias, x_proj, dt_proj, dt_bias, A, D
    y, last_state = import_module(module).selective_ssm(x, z, *weights, conv_state, ssm_state)
    return y.contiguous(), last_state.contiguous()


@register_fake("mambadfuse::selective_ssm")
def _(x: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    A = others[6]
    return x.new_empty(x.shape), x.new_empty(x.shape[0], *A.shape, dtype=torch.float32)


@custom_op("mambadfuse::gradients", mutates_args=())
def gradients(
    tensors: list[Tensor],
    given: list[bool],
    flag: str | None,
    module: str,
    operation: str,
    outputs: list[Tensor],
) -> list[Tensor]:
    """The gradients with respect to ``tensors``, the arguments that are not None; ``given`` says which those are.

    ``outputs`` are the gradients with respect to what the operation returns; ``flag`` is the argument of scan and
    convolution that is no tensor.
    """
    # An operator runs below autograd; the guard lets it build a graph of its own.
    nothing = torch._C._dispatch_keyset_full() - torch._C._dispatch_keyset_full()
    guard = torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), nothing)
    with torch.enable_grad(), guard:
        leaves = [x.detach().requires_grad_() for x in tensors]
        waiting = iter(leaves)
        arguments: list[Any] = [next(waiting) if there else None for there in given]
        if operation == "selective_scan":
            arguments.insert(-1, flag is not None)
        elif operation == "causal_conv1d":
            arguments.insert(-1, flag)
        found = getattr(import_module(module), operation)(*arguments)
        found = (found,) if isinstance(found, Tensor) else found
        wanted = [(y, dy) for y, dy in zip(found, outputs, strict=True) if y.requires_grad]
        ys, dys = zip(*wanted, strict=True)
        computed = torch.autograd.grad(ys, leaves, dys, materialize_grads=True)
    return [x.clone(memory_format=torch.contiguous_format) for x in computed]


@register_fake("mambadfuse::gradients")
def _(tensors: list[Tensor], *_: Any) -> list[Tensor]:
    return [x.new_empty(x.shape) for x in tensors]


def _setup(operation: str) -> Callable[[Any, tuple[Any, ...], Any], None]:
    """Keeps the arguments of an operator for its gradient."""

    def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        *arguments, ctx.module = inputs
        ctx.others = 1 if operation == "selective_ssm" else 2  # arguments that are no tensors
        flag = None if operation == "selective_ssm" else arguments.pop()
        ctx.flag = ("softplus" if flag else None) if isinstance(flag, bool) else flag
        ctx.save_for_backward(*(x for x in arguments if x is not None))
        ctx.given = [x is not None for x in arguments]
        ctx.operation = operation

    return setup


def _backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
    found = gradients(
        list(ctx.saved_tensors),
        ctx.given,
        ctx.flag,
        ctx.module,
        ctx.operation,
        [dy.contiguous() for dy in outputs],
    )
    waiting = iter(found)
    return *(next(waiting) if there else None for there in ctx.given), *[None] * ctx.others


for name in ("selective_scan", "causal_conv1d", "selective_ssm"):
    register_autograd(f"mambadfuse::{name}", _backward, setup_context=_setup(name))
