"""Evaluation: folders of fused pictures scored, ranked and compared with published results."""
