"""The two sequence operations under Mamba, each behind one signature with five interchangeable backends.

Letters: B batch, L length (tokens), D channels, N state size, W width of the convolution.

=========  ==============================  =======================================================
backend    file                            for
=========  ==============================  =======================================================
reference  ``ops/reference.py``            reading, and the oracle of every test
torch      ``ops/chunked.py``              any device, plain PyTorch, bounded memory
numba      ``ops/cpu/selective_scan.py``   the default on a CPU: fused kernels, all cores
triton     ``ops/gpu/selective_scan.py``   the default on a GPU: fused kernels, nothing to install
cuda       ``ops/cuda.py``                 the default on an NVIDIA GPU with mamba-ssm and causal-conv1d
=========  ==============================  =======================================================

The last two have not been run on a GPU by us.

A whole SSM, from the convolution to the gate, is :func:`selective_ssm`: with "triton" one operation that moves fewer
bytes than its parts, with the others those parts one after the other.
"""

from mambadfuse.ops.interface import (
    Backend,
    backends,
    causal_conv1d,
    selective_scan,
    selective_ssm,
    supports_mamba_inner,
    supports_selective_ssm,
    use_backend,
)

__all__ = [
    "Backend",
    "backends",
    "causal_conv1d",
    "selective_scan",
    "selective_ssm",
    "supports_mamba_inner",
    "supports_selective_ssm",
    "use_backend",
]
