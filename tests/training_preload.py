"""Imported once by the fork server of a test: a first run, so that child processes find every kernel compiled."""

from tempfile import TemporaryDirectory

from training_cases import quiet

with TemporaryDirectory() as folder:
    quiet(f"{folder}/w.safetensors", steps=1)
