"""Alignment: the motion that lays one image of a pair over the other, estimated from their edges."""

from mambadfuse.alignment.registration import registration_remark, shift_remark

__all__ = ["registration_remark", "shift_remark"]
