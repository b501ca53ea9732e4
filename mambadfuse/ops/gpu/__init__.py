"""The Triton kernels of the two sequence operations, for GPUs: backend "triton".

Triton compiles them for the GPU at hand when they are first called; nothing else need be installed. Channels are
the last dimension of every tensor, so that neighbouring threads read neighbouring numbers.
"""
