"""The Triton kernels of the sequence operations, for GPUs: backend "triton".

Triton compiles them for the GPU at hand when they are first called. For that it needs no CUDA toolkit, but gcc or clang
and Python's headers: it builds a small C launcher with them, once. Channels are the last dimension of every tensor, so
that neighbouring threads read neighbouring numbers. We have not run them on a GPU.
"""
