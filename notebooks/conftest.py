"""How the cells are run: kernels are reached through files, and the copies for students are left out."""

import os
import tempfile
from pathlib import Path
from uuid import uuid4

import nbval.kernel
from jupyter_client import KernelManager

collect_ignore = ["student"]  # not part of the course's own check: their cells have not been run


def reached_through_files(**settings: object) -> KernelManager:
    """A kernel's manager without ports.

    Ports are looked for before the kernel starts and opened by it a second later; where another process takes one in
    between, the kernel dies.
    """
    return KernelManager(
        transport="ipc", ip=str(Path(tempfile.gettempdir()) / f"kernel-{uuid4().hex}"), **settings
    )


if os.name != "nt":
    nbval.kernel.KernelManager = reached_through_files
