"""Evaluation: folders of fused images scored, ranked and compared with published results."""
