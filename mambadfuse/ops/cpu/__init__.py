"""Backend ``numba``: the scan, the convolution and whole Mamba units as fused kernels for a CPU."""
