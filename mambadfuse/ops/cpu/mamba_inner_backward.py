"""The gradient of a whole Mamba path on a CPU as one kernel: what ``path_kernels.py`` computes, backwards.

A sequence goes through its tiles from last to first. Each is computed again from what the way forward kept of its
beginning, then the gradient of its output goes back through every step: gate, scan, step size, convolution and
projections. The gradients of the weights are added up over the tiles; each batch element has its own.

One *job* is one batch element: any number of threads gives the same result. Letters as in ``path_kernels.py``.
"""

from numba import int64, njit

from mambadfuse.ops.cpu.kernel import F1, F2, F3, F4, F5, ZERO, Kernel
from mambadfuse.ops.cpu.mamba_inner_forward import (
    PANEL,
    TILE,
    _convolve,
    _discretise,
    _masks,
    _matrix,
    _read,
    _write,
    project,
)
from mambadfuse.ops.cpu.selective_scan import _add_lanes, _adjoint, _clear, _gate, _recompute, _rows, _ungate
from mambadfuse.ops.cpu.simd import LANES, STATES, load, load_panel, splat, store
from mambadfuse.ops.cpu.simd_math import ONE, sigmoid

BUILT_ON = "a6858aca3710"  # digest of the files whose code is inlined here, see kernel.py


@njit(forceinline=True)
def _collect(x, dout, dweight):
    """dweight += xᵀ dout, four inputs by one panel of outputs at a time: the gradient of the weight in x weight = out.

    x (T, K or more), dout (T, M), dweight (K, M); K a multiple of four, M of a panel.
    """
    for m in range(0, dweight.shape[1], PANEL):
        for k in range(0, dweight.shape[0], 4):
            s0, s1 = load_panel(dweight, (k, m)), load_panel(dweight, (k + 1, m))
            s2, s3 = load_panel(dweight, (k + 2, m)), load_panel(dweight, (k + 3, m))
            for t in range(x.shape[0]):
                row = load_panel(dout, (t, m))
                s0, s1 = s0 + x[t, k] * row, s1 + x[t, k + 1] * row
                s2, s3 = s2 + x[t, k + 2] * row, s3 + x[t, k + 3] * row
            store(dweight, (k, m), s0), store(dweight, (k + 1, m), s1)
            store(dweight, (k + 2, m), s2), store(dweight, (k + 3, m), s3)


@njit(forceinline=True)
def _add(total, index, x):
    """total += x for the sixteen numbers at the index."""
    store(total, index, load(total, index) + x)


@njit(forceinline=True)
def _discretise_back(
    u, raw, D, steps, slopes, douts, dsteps, ddrives, du, draws, dD, dweight, dbias
):  # fmt: skip
    """draws, the gradient of Δ before its softplus, and du, that of u in drive and skip; adds those of the weights."""
    for t in range(u.shape[0]):
        for i in range(steps.shape[0]):
            c = i * LANES
            x, dout, ddrive = load(u, (t, c)), load(douts, (i, t, 0)), load(ddrives, (i, t, 0))
            draw = (load(dsteps, (i, t, 0)) + ddrive * x) * load(slopes, (i, t, 0))
            store(draws, (t, c), draw)
            store(du, (t, c), dout * load(D, (c,)) + ddrive * load(steps, (i, t, 0)))
            _add(dD, (c,), dout * x)
            _add(dbias, (c,), draw)
            for r in range(dweight.shape[0]):
                _add(dweight, (r, c), raw[t, r] * draw)


@njit(forceinline=True)
def _activate_back(sums, du, du_projected, dsums):
    """The gradient of the convolution's sums before their silu, of which u came; du has two parts."""
    for t in range(du.shape[0]):
        for c in range(0, sums.shape[1], LANES):
            x = load(sums, (t, c))
            s = sigmoid(x)
            store(dsums, (t, c), (load(du, (t, c)) + load(du_projected, (t, c))) * s * (x * (ONE - s) + ONE))


@njit(forceinline=True)
def _convolve_back(stream, weight, dsums, count, dstream, dweight, dbias):
    """dstream of count tokens; dsums goes on for W - 1 tokens behind them, and stream begins W - 1 tokens earlier."""
    before = weight.shape[0] - 1
    for t in range(count):
        for c in range(0, weight.shape[1], LANES):
            dx, dsum = splat(ZERO), load(dsums, (t, c))
            for k in range(before + 1):
                dx = dx + load(weight, (k, c)) * load(dsums, (t + before - k, c))
                _add(dweight, (k, c), dsum * load(stream, (t + k, c)))
            store(dstream, (t, c), dx)
            _add(dbias, (c,), dsum)


@njit(forceinline=True)
def _ungate_back(dgates, outs, dz):
    """dz (T, E) = dgates outs, which come by blocks."""
    for t in range(dz.shape[0]):
        for i in range(outs.shape[0]):
            store(dz, (t, i * LANES), load(dgates, (i, t, 0)) * load(outs, (i, t, 0)))


def _path_backward(
    first, last, x, dout, w_in, w_in_t, conv, conv_bias, w_x, w_x_t, w_step, w_step_t, step_bias, A1, A2, D, w_out_t,
    pasts, states, dx, dw_in, dconv, dconv_bias, dw_x, dw_step, dstep_bias, dA, dD, dw_out,
):  # fmt: skip
    """Jobs first..last-1; dX is the gradient with respect to X, for weights (B, ...) to be summed by the caller.

    x, dout, dx (B, L, C); weights as in ``_path``, w_in_t, w_x_t and w_out_t transposed, w_step_t (E, 2 N + R) behind
    2 N columns of zeros; A1 = A; pasts and states as the way forward kept them. The weights' gradients begin at zero.
    """
    length, dim, inner, state, before = x.shape[1], x.shape[2], conv.shape[1], A2.shape[1], conv.shape[0] - 1
    blocks, masks, width = A2.shape[0], _masks(dim), dw_in.shape[1]
    rows, drows, drows_in = (
        _matrix(TILE, width),
        _matrix(TILE, dw_out.shape[2]),
        _matrix(TILE, w_in_t.shape[1]),
    )
    raised, draised = _matrix(before + TILE, w_in.shape[1]), _matrix(TILE, w_in.shape[1])
    parameters, dparameters = _matrix(TILE, w_x.shape[1]), _matrix(TILE, w_x.shape[1])
    channels = _matrix(7 * TILE, inner).reshape((7, TILE, inner))
    sums, u, y, dy, draws, du, du_projected = channels
    dsums = _matrix(TILE + before, inner)
    steps, slopes, drives, outs, douts, dgates, dsteps, ddrives = _rows(8 * blocks, TILE).reshape(
        (8, blocks, TILE, LANES)
    )
    kept, dBC, dh = _rows(TILE, 2 * STATES), _rows(TILE, 2 * state), _rows(blocks, state)
    rows[:], drows[:], raised[:], draised[:], dparameters[:] = ZERO, ZERO, ZERO, ZERO, ZERO
    for b in range(first, last):
        dsums[:], dh[:] = ZERO, ZERO
        for tile in range((length - 1) // TILE, -1, -1):
            count = min(TILE, length - tile * TILE)
            tokens = slice(tile * TILE, tile * TILE + count)
            _read(x[b, tokens], x[b, tokens], False, masks, rows)
            _read(dout[b, tokens], x[b, tokens], False, masks, drows)
            raised[:before, :inner] = pasts[b, tile]
            stream, gates = raised[:, :inner], raised[before : before + count, inner:]
            raw, draised_gates = parameters[:count, 2 * state :], draised[:count, inner : 2 * inner]
            Bs, Cs = parameters[:count, :state], parameters[:count, state : 2 * state]
            project(rows, w_in, raised[before:])
            _convolve(raised, conv, conv_bias, sums, u)
            project(u, w_x, parameters)
            _discretise(u[:count], raw, w_step, step_bias, D, steps, slopes, drives, outs)
            project(drows, w_out_t, dy)
            _ungate(gates, dy[:count], True, 0, blocks, douts, dgates)
            _clear(dsteps), _clear(ddrives), _clear(dBC)
            for i in range(blocks):
                for n in range(0, state, STATES):
                    a2, h = load_panel(A2, (i, n, 0)), load_panel(states, (b, tile, i, n, 0))
                    h = _recompute(Bs, Cs, n, a2, h, steps[i], drives[i], outs[i], kept)
                    dh_panel, dA_panel = _adjoint(
                        Bs, Cs, n, load_panel(A1, (i, n, 0)), h, load_panel(dh, (i, n, 0)),
                        load_panel(dA, (b, i, n, 0)), steps[i], drives[i], kept, douts[i], splat(ONE), ddrives[i],
                        dsteps[i], dBC,
                    )  # fmt: skip
                    store(dh, (i, n, 0), dh_panel)
                    store(dA, (b, i, n, 0), dA_panel)
            _gate(gates, True, 0, blocks, outs, y[:count])
            _collect(y[:count], drows, dw_out[b])
            _ungate_back(dgates, outs, draised_gates)
            _discretise_back(
                u[:count], raw, D, steps, slopes, douts, dsteps, ddrives, du, draws, dD[b], dw_step[b], dstep_bias[b]
            )  # fmt: skip
            project(draws, w_step_t, dparameters)
            _add_lanes(dBC, dparameters[:count, :state], dparameters[:count, state : 2 * state])
            _collect(u[:count], dparameters, dw_x[b])
            project(dparameters, w_x_t, du_projected)
            _activate_back(sums, du[:count], du_projected, dsums)
            _convolve_back(stream, conv, dsums, count, draised, dconv[b], dconv_bias[b])
            _collect(rows[:count], draised, dw_in[b])
            project(draised, w_in_t, drows_in)
            _write(drows_in, masks, False, dx[b, tokens])
            dsums[TILE:] = dsums[:before]


path_backward = Kernel(
    _path_backward, int64, int64, F3, F3, F2, F2, F2, F1, F2, F2, F2, F2, F1, F3, F3, F1, F2,
    F4, F5, F3, F3, F3, F2, F3, F3, F2, F4, F2, F3,
)  # fmt: skip
