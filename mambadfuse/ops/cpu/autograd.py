"""The Numba kernels as differentiable PyTorch operations, in parallel on all threads: backend "numba".

float32 on a CPU. The result does not depend on the number of threads.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mambadfuse.ops.cpu.causal_conv1d import CHUNK, conv_backward, conv_forward
from mambadfuse.ops.cpu.layout import block_count
from mambadfuse.ops.cpu.selective_scan import TILE, ScanGradients, scan_backward, scan_forward
from mambadfuse.ops.cpu.simd import PANEL_STATES, SIMD_WIDTH
from mambadfuse.ops.cpu.threads import parallel_for
from mambadfuse.ops.first_derivative import first_derivative_only

BLOCKS_PER_JOB = 8  # blocks of channels, at most


def _array(x: Tensor) -> np.ndarray:
    """The tensor's own memory as a NumPy array, copied only if its channels are not contiguous."""
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
    def forward(ctx, u, delta, A, B, C, D, z, delta_bias, use_softplus, gated, initial_state):
        batch, length, dim = u.shape
        state, blocks = A.shape[1], block_count(dim)
        tiles = -(-length // TILE) if any(ctx.needs_input_grad) else 0
        # Any number of blocks gives the same y.
        blocks_per_job = max(1, min(BLOCKS_PER_JOB, batch * blocks // torch.get_num_threads()))
        y, last_state = torch.empty(u.shape), torch.empty(batch, dim, state)
        checkpoints = torch.empty(batch, tiles, blocks, state, SIMD_WIDTH)
        inputs = tuple(map(_array, (u, delta, A, B, C, D, z, delta_bias)))
        parallel_for(
            scan_forward,
            batch * -(-blocks // blocks_per_job),
            blocks_per_job,
            inputs,
            use_softplus,
            gated,
            _array(initial_state),
            y.numpy(),
            last_state.numpy(),
            checkpoints.numpy(),
        )
        ctx.save_for_backward(u, delta, A, B, C, D, z, delta_bias, checkpoints)
        ctx.use_softplus, ctx.gated = use_softplus, gated
        return y, last_state

    @staticmethod
    @first_derivative_only
    def backward(ctx, dy, dlast_state):
        *inputs, checkpoints = ctx.saved_tensors
        u, _, A, *_ = inputs
        (batch, length, dim), state, blocks = u.shape, A.shape[1], checkpoints.shape[2]
        # The order of the sums over channels depends on this number, so it must not depend on the threads.
        blocks_per_job = BLOCKS_PER_JOB if batch > 1 else BLOCKS_PER_JOB // 2
        groups = -(-blocks // blocks_per_job)
        du, ddelta = torch.empty(u.shape), torch.empty(u.shape)
        dz = torch.empty(u.shape if ctx.gated else (batch, 0, dim))
        dA, dinitial_state = torch.empty(batch, dim, state), torch.empty(batch, dim, state)
        dB, dC = torch.empty(2, batch, groups, length, state)
        dD, dbias = torch.empty(2, batch, dim)
        outputs = du, ddelta, dA, dB, dC, dD, dz, dbias, dinitial_state
        parallel_for(
            scan_backward,
            batch * groups,
            blocks_per_job,
            tuple(map(_array, inputs)),
            ctx.use_softplus,
            ctx.gated,
            checkpoints.numpy(),
            _array(dy),
            _array(dlast_state),
            ScanGradients(*(x.numpy() for x in outputs)),
        )
        gradients = du, ddelta, dA.sum(0), dB.sum(1), dC.sum(1), dD.sum(0), dz, dbias.sum(0)
        return *gradients, None, None, dinitial_state


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
    missing_channels = max(0, SIMD_WIDTH - dim)  # the kernels take at least one whole block of channels
    missing_states = -state % PANEL_STATES  # and whole panels of states
    gated = z is not None
    D = u.new_zeros(dim) if D is None else D
    delta_bias = u.new_zeros(dim) if delta_bias is None else delta_bias
    initial_state = u.new_zeros(batch, dim, state) if initial_state is None else initial_state
    z = u.new_empty(batch, 0, dim) if z is None else z
    if missing_channels:
        u, delta, z, D, delta_bias = (F.pad(x, (0, missing_channels)) for x in (u, delta, z, D, delta_bias))
    if missing_channels or missing_states:
        A, initial_state = (F.pad(x, (0, missing_states, 0, missing_channels)) for x in (A, initial_state))
        B, C = (F.pad(x, (0, missing_states)) for x in (B, C))
    y, last_state = _Scan.apply(u, delta, A, B, C, D, z, delta_bias, delta_softplus, gated, initial_state)
    if missing_channels or missing_states:
        return y[..., :dim], last_state[:, :dim, :state]
    return y, last_state


def _conv_jobs(x: Tensor) -> int:
    return x.shape[0] * -(-x.shape[1] // CHUNK)


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, past, weight, bias, activate):
        y = torch.empty(x.shape)
        inputs = [_array(a) for a in (x, past, weight, bias)]
        parallel_for(conv_forward, _conv_jobs(x), *inputs, activate, y.numpy())
        ctx.save_for_backward(x, past, weight, bias)
        ctx.activate = activate
        return y

    @staticmethod
    @first_derivative_only
    def backward(ctx, dy):
        x, past, weight, bias = ctx.saved_tensors
        jobs = _conv_jobs(x)
        dx, dpast = torch.empty(x.shape), torch.empty(past.shape)
        dweight, dbias = torch.empty(jobs, *weight.shape), torch.empty(jobs, *bias.shape)
        inputs = [_array(a) for a in (x, past, weight, bias)]
        outputs = [a.numpy() for a in (dx, dpast, dweight, dbias)]
        parallel_for(conv_backward, jobs, *inputs, ctx.activate, _array(dy), *outputs)
        return dx, dpast, dweight.sum(0), dbias.sum(0), None


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, initial_state: Tensor | None
) -> Tensor:
    """The convolution by the fused kernels; see :func:`mambadfuse.ops.causal_conv1d`."""
    _require_cpu(x)
    batch, _, dim = x.shape
    past = x.new_zeros(batch, weight.shape[1] - 1, dim) if initial_state is None else initial_state
    bias = x.new_zeros(dim) if bias is None else bias
    missing = max(0, SIMD_WIDTH - dim)
    if missing:
        x, past, bias = (F.pad(a, (0, missing)) for a in (x, past, bias))
        weight = F.pad(weight, (0, 0, 0, missing))
    y = _Conv.apply(x, past, weight.t().contiguous(), bias, activation is not None)
    return y[..., :dim] if missing else y
