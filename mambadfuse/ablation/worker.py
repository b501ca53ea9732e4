"""The process of one background run, controlled through a pipe on its standard input.

A byte asks for a pause: the run saves a checkpoint after the current step and the process exits. The end of the pipe
means that the parent process is gone, for whatever reason: the worker removes its folder and exits at once.
"""

import os
import pickle
import shutil
import signal
import sys
import threading
from pathlib import Path

from mambadfuse.ablation.background_runs import JOB, PAUSED


def main(folder: Path) -> int:
    """Do the job in the folder; returns the exit status."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a notebook kernel ignores SIGINT, and children inherit that
    try:
        threading.Thread(target=_listen, args=(folder,), daemon=True).start()
        pickle.loads((folder / JOB).read_bytes()).run(folder)
    except KeyboardInterrupt:
        return PAUSED
    except Exception as error:  # every error becomes the last line of output, which the parent shows
        print(str(error) or type(error).__name__, file=sys.stderr)
        return 1
    return 0


def _listen(folder: Path) -> None:
    while os.read(sys.stdin.fileno(), 1):
        signal.raise_signal(signal.SIGINT)
    for _ in range(3):  # the run may still be writing
        shutil.rmtree(folder, ignore_errors=True)  # what fails now may succeed next time
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
