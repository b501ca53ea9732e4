"""Gradients that kernels compute, which have no gradients of their own."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch

Backward = TypeVar("Backward", bound=Callable[..., Any])


def first_derivative_only(backward: Backward) -> Backward:
    """Makes a second derivative an error, where a ``backward`` computes outside autograd's sight.

    PyTorch's ``once_differentiable`` reports one only if the incoming gradient has a graph. Otherwise it returns
    constants, and a penalty on a gradient would train nothing.

    Raises:
        RuntimeError: a graph of the gradients was asked for, with ``create_graph=True``.
    """

    @wraps(backward)
    def guarded(ctx: Any, *gradients: Any) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "this backend computes first derivatives only, but create_graph=True asks for more: "
                "use backend 'reference'"
            )
        return backward(ctx, *gradients)

    return cast(Backward, guarded)
