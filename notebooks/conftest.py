"""How nbval runs the cells: kernels are reached through sockets in files, and copies for students are ignored."""

import os
import tempfile
from pathlib import Path
from uuid import uuid4

import nbval.kernel
from jupyter_client import KernelManager

collect_ignore = ["student"]  # their cells have no outputs to compare with


def reached_through_files(**settings: object) -> KernelManager:
    """A kernel manager that uses no TCP ports.

    Free ports are chosen before the kernel starts, which opens them a second later; if another process takes one in
    between, the kernel dies.
    """
    return KernelManager(
        transport="ipc", ip=str(Path(tempfile.gettempdir()) / f"kernel-{uuid4().hex}"), **settings
    )


if os.name != "nt":
    nbval.kernel.KernelManager = reached_through_files
