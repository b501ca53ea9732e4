"""The Numba kernels as differentiable PyTorch operations, shared out over threads.

Backend "numba": float32 on a CPU. The result does not depend on the number of threads.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mambadfuse.ops.cpu.causal_conv1d import CHUNK, conv_backward, conv_forward
from mambadfuse.ops.cpu.kernel import blocks
from mambadfuse.ops.cpu.selective_scan import TILE, scan_backward, scan_forward
from mambadfuse.ops.cpu.simd import LANES, STATES
from mambadfuse.ops.cpu.threads import share_out

GROUP = 8  # channel blocks that one job takes together, at most


def _array(x: Tensor) -> np.ndarray:
    """The tensor's own memory as a NumPy array, copied only if its channels are not neighbours."""
    x = x.detach()
    return (x if x.stride(-1) == 1 or x.numel() == 0 else x.contiguous()).numpy()


def _require_cpu(x: Tensor) -> None:
    if x.device.type != "cpu":
        raise RuntimeError(f"backend 'numba' computes on the CPU, found a tensor on {x.device}: use 'torch'")
    if x.dtype != torch.float32:
        raise RuntimeError(
            f"backend 'numba' computes in float32, found {x.dtype}: use 'torch' or 'reference'"
        )


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u, delta, A, B, C, D, z, bias, use_softplus, gated, start):
        batch, length, dim = u.shape
        state, count = A.shape[1], blocks(dim)
        tiles = -(-length // TILE) if any(ctx.needs_input_grad) else 0
        group = max(1, min(GROUP, batch * count // torch.get_num_threads()))  # any group gives the same y
        y, end = torch.empty(u.shape), torch.empty(batch, dim, state)
        checkpoints = torch.empty(batch, tiles, count, state, LANES)
        inputs = [_array(x) for x in (u, delta, A, B, C, D, z, bias)]
        share_out(
            scan_forward, batch * -(-count // group), group, *inputs, use_softplus, gated,
            _array(start), y.numpy(), end.numpy(), checkpoints.numpy(),
        )  # fmt: skip
        ctx.save_for_backward(u, delta, A, B, C, D, z, bias, checkpoints)
        ctx.use_softplus, ctx.gated = use_softplus, gated
        return y, end

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy, dend):
        *inputs, checkpoints = ctx.saved_tensors
        u, _, A, *_ = inputs
        (batch, length, dim), state, count = u.shape, A.shape[1], checkpoints.shape[2]
        du, ddelta = torch.empty(u.shape), torch.empty(u.shape)
        dz = torch.empty(u.shape if ctx.gated else (batch, 0, dim))
        dA, dstart = torch.empty(batch, dim, state), torch.empty(batch, dim, state)
        group = (
            GROUP if batch > 1 else GROUP // 2
        )  # the sums over channels depend on it: never on the threads
        groups = -(-count // group)
        dB, dC = torch.empty(2, batch, groups, length, state)
        dD, dbias = torch.empty(2, batch, dim)
        outputs = [x.numpy() for x in (du, ddelta, dA, dB, dC, dD, dz, dbias, dstart)]
        share_out(
            scan_backward, batch * groups, group, *[_array(x) for x in inputs], ctx.use_softplus, ctx.gated,
            checkpoints.numpy(), _array(dy), _array(dend), *outputs,
        )  # fmt: skip
        return du, ddelta, dA.sum(0), dB.sum(1), dC.sum(1), dD.sum(0), dz, dbias.sum(0), None, None, dstart


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    initial_state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The scan by the fused kernels; see :func:`mambadfuse.ops.selective_scan`. Returns ``(y, last_state)``."""
    _require_cpu(u)
    (batch, _, dim), state = u.shape, A.shape[1]
    missing = max(0, LANES - dim)  # the kernels want at least one whole block of channels
    gated = z is not None
    D = u.new_zeros(dim) if D is None else D
    delta_bias = u.new_zeros(dim) if delta_bias is None else delta_bias
    start = u.new_zeros(batch, dim, state) if initial_state is None else initial_state
    z = u.new_empty(batch, 0, dim) if z is None else z
    spare = -state % STATES  # and whole panels of states
    if missing:
        u, delta, z, D, delta_bias = (F.pad(x, (0, missing)) for x in (u, delta, z, D, delta_bias))
    if missing or spare:
        A, start = (F.pad(x, (0, spare, 0, missing)) for x in (A, start))
        B, C = (F.pad(x, (0, spare)) for x in (B, C))
    y, end = _Scan.apply(u, delta, A, B, C, D, z, delta_bias, delta_softplus, gated, start)
    return (y[..., :dim], end[:, :dim, :state]) if missing or spare else (y, end)


def _conv_jobs(x: Tensor) -> int:
    return x.shape[0] * -(-x.shape[1] // CHUNK)


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, past, weight, bias, activate):
        y = torch.empty(x.shape)
        inputs = [_array(a) for a in (x, past, weight, bias)]
        share_out(conv_forward, _conv_jobs(x), *inputs, activate, y.numpy())
        ctx.save_for_backward(x, past, weight, bias)
        ctx.activate = activate
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy):
        x, past, weight, bias = ctx.saved_tensors
        jobs = _conv_jobs(x)
        dx, dpast = torch.empty(x.shape), torch.empty(past.shape)
        dweight, dbias = torch.empty(jobs, *weight.shape), torch.empty(jobs, *bias.shape)
        inputs = [_array(a) for a in (x, past, weight, bias)]
        outputs = [a.numpy() for a in (dx, dpast, dweight, dbias)]
        share_out(conv_backward, jobs, *inputs, ctx.activate, _array(dy), *outputs)
        return dx, dpast, dweight.sum(0), dbias.sum(0), None


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, initial_state: Tensor | None
) -> Tensor:
    """The convolution by the fused kernels; see :func:`mambadfuse.ops.causal_conv1d`."""
    _require_cpu(x)
    batch, _, dim = x.shape
    past = x.new_zeros(batch, weight.shape[1] - 1, dim) if initial_state is None else initial_state
    bias = x.new_zeros(dim) if bias is None else bias
    missing = max(0, LANES - dim)
    if missing:
        x, past, bias = (F.pad(a, (0, missing)) for a in (x, past, bias))
        weight = F.pad(weight, (0, 0, 0, missing))
    y = _Conv.apply(x, past, weight.t().contiguous(), bias, activation is not None)
    return y[..., :dim] if missing else y
