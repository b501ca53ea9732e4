"""Folders of fused pictures scored, ranked and set beside published results."""
