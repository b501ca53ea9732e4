"""The scan for ``torch.export``: three short loops of PyTorch's own operators, for sequences of any length.

Exported, a network needs neither this package nor one of its backends. Each turn of an exported loop costs its runtime
tens of microseconds, however little there is to do. So the sequence is cut into chunks of :data:`CHUNK` tokens, and one
turn takes a token of every chunk. The three loops find

1. the state in which each chunk would end if it began with zeros,
2. chunk by chunk, the states in which they do begin,
3. from there, the outputs.

Letters: those of :func:`mambadfuse.ops.selective_scan`, and T the tokens of a chunk, K chunks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._higher_order_ops.scan import scan_op

from mambadfuse.ops.reference import causal_conv1d

__all__ = ["causal_conv1d", "selective_scan"]

CHUNK = 256  # tokens: at 640 x 480, 256 turns within the chunks and 1202 from chunk to chunk


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
    """The recurrence of :func:`mambadfuse.ops.reference.selective_scan`, all chunks side by side.

    Shapes as in :func:`mambadfuse.ops.selective_scan`. Returns ``(y, last_state)``.
    """
    if delta_bias is not None:
        delta = delta + delta_bias
    if delta_softplus:
        delta = F.softplus(delta)
    tokens = [_in_chunks(x) for x in (delta, delta * u, B, C)]  # (T, B, D or N, K) each
    chunks = tokens[0].shape[-1]

    def decay(delta: Tensor, A: Tensor) -> Tensor:
        return torch.exp(delta[:, :, None] * A[:, :, None])  # (B, D, K) -> (B, D, N, K)

    def step(h: Tensor, delta: Tensor, input: Tensor, B: Tensor, C: Tensor, A: Tensor) -> list[Tensor]:
        h = decay(delta, A) * h + input[:, :, None] * B[:, None]  # (B, D, N, K)
        return [h, (h * C[:, None]).sum(2)]  # (B, D, K)

    def across_chunk(h: Tensor, decay_of_chunk: Tensor, end_from_zeros: Tensor) -> list[Tensor]:
        return [decay_of_chunk * h + end_from_zeros, h.clone()]

    ends, _ = scan_op(step, [u.new_zeros(u.shape[0], *A.shape, chunks)], tokens, (A,))
    h = u.new_zeros(u.shape[0], *A.shape) if initial_state is None else _dense(initial_state)
    pieces = [decay(tokens[0].sum(0), A).movedim(3, 0), ends.movedim(3, 0)]
    last_state, starts = scan_op(across_chunk, [h], pieces, ())
    _, y = scan_op(step, [_dense(starts.movedim(0, 3))], tokens, (A,))
    y = y.permute(1, 3, 0, 2).flatten(1, 2)[:, : u.shape[1]]  # (T, B, D, K) -> (B, L, D)
    if D is not None:
        y = y + D * u
    if z is not None:
        y = y * F.silu(z)
    return y, last_state


def _in_chunks(x: Tensor) -> Tensor:
    """(B, L, D) -> (T, B, D, K), with zeros after the last token: a step of zero leaves the state as it is.

    There are at least two chunks, since an exporter takes a size of one for a constant.
    """
    chunks = x.shape[1] // CHUNK + 2
    zeros = x.new_zeros(x.shape[0], chunks * CHUNK - x.shape[1], x.shape[2])
    return _dense(torch.cat([x, zeros], dim=1).unflatten(1, (chunks, CHUNK)).permute(2, 0, 3, 1))


def _dense(x: Tensor) -> Tensor:
    """The same values with the strides of a new tensor, which ``scan`` demands of the state that it begins with."""
    return x.clone(memory_format=torch.contiguous_format)
