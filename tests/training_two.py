"""One of two processes that share a toy run, as a launcher starts them.

``training_two.py OUT [SIGNAL]``: in the middle of the run the first process sends the signal; SIGKILL to itself, any
other to the launcher, as a cluster's job manager does. A process group that outlives the run is a failure.
"""

import os
import signal
import sys
import weakref
from dataclasses import dataclass

from torch import distributed
from training_cases import quiet, toy_pairs

from mambadfuse.data.training_pairs import ArrayPair

groups = []


@dataclass(frozen=True)
class Watching(ArrayPair):
    """A pair that remembers in which process group it is read; the first process that reads it sends the signal."""

    number: int | None

    def pictures(self):
        groups.append(weakref.ref(distributed.group.WORLD))
        if self.number and os.environ["RANK"] == "0":
            os.kill(os.getpid() if self.number == signal.SIGKILL else os.getppid(), self.number)
        return super().pictures()


if __name__ == "__main__":
    out, *number = sys.argv[1:]
    first, second, third = toy_pairs()
    watching = Watching(second.name, second.a, second.b, int(number[0]) if number else None)
    quiet(out, [first, watching, third], steps=30, checkpoint_seconds=0)
    if any(group() for group in groups):
        sys.exit("the process group outlives the run: its threads can abort a process that leaves")
