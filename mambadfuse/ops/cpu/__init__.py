"""Backend ``numba``: the scan, the convolution and whole Mamba units as fused CPU kernels.

Reading order: ``simd.py`` and ``simd_math.py`` (vectors), ``layout.py`` (memory), ``tile_passes.py`` (the equations,
one tile at a time), then the kernels ``causal_conv1d.py``, ``selective_scan.py``, ``mamba_inner_forward.py`` and
``mamba_inner_backward.py``. ``autograd.py``, ``mamba_inner.py`` and ``pipeline.py`` call them from PyTorch.
"""
