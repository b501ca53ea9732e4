"""The process of one row in the lab: trains, pauses or ends as the pipe on its standard input says.

A byte on the pipe asks for a pause: the run is kept between two steps and the process ends. The end of the pipe
means that the lab is gone, in whatever way: the process removes its folder and ends at once.
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
    """Does the job in the folder to its end; returns the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a kernel ignores it, and that is inherited
    try:
        threading.Thread(target=_obey, args=(folder,), daemon=True).start()
        pickle.loads((folder / JOB).read_bytes()).run(folder)
    except KeyboardInterrupt:
        return PAUSED
    except (
        Exception
    ) as error:  # at this border every error becomes the last line that the lab reads and shows
        print(str(error) or type(error).__name__, file=sys.stderr)
        return 1
    return 0


def _obey(folder: Path) -> None:
    while os.read(sys.stdin.fileno(), 1):
        signal.raise_signal(signal.SIGINT)
    for _ in range(3):  # the run may be writing still
        shutil.rmtree(folder, ignore_errors=True)  # what cannot go now goes next time
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
