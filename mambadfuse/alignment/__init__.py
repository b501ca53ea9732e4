"""Alignment: the motion that lays one image of a pair over the other, estimated from their edges."""
