"""The sizes of a program of each kernel, on which speed depends but no result beyond rounding.

With these, 16 states and float32 no kernel spills registers on sm_80, sm_90 and gfx942 but ``scan_gradients``: 32 bytes
on sm_90, and as part of a whole SSM 32 on sm_80 and 24 on sm_90.
"""

CHUNK = 64  # tokens of the scan; the states between chunks cost N / CHUNK numbers for each channel and token
CHANNELS = 32  # of the scan forward
PIECE, GRADIENT_CHANNELS = 4, 16  # of its backward: tokens whose states are in registers, and channels
CARRIED = 64  # chunks that carry_states takes at a time
CONV_CHUNK, CONV_CHANNELS = 16, 64  # of the convolution
PROJECTED, PROJECTED_CHANNELS = 32, 16  # of the projection: tokens, and channels at a time
OUTPUTS = 16  # sums in a tile of the projection

LARGEST_RANK = 16  # of a whole SSM: on paper, Δ of a larger rank is cheaper to read than to project again
