"""One of two processes that share a toy run, as a launcher starts them.

``training_two.py OUT [SIGNAL]``: in the middle of the run the first process sends the signal; SIGKILL to itself, any
other to the launcher, as the manager of a cluster does.
"""

import os
import signal
import sys
from dataclasses import dataclass

from training_cases import quiet, toy_pairs

from mambadfuse.data.grey_pairs import GreyPair


@dataclass(frozen=True)
class Ending(GreyPair):
    """A pair that sends a signal when the first process comes to read it."""

    number: int

    def pictures(self):
        if os.environ["RANK"] == "0":
            os.kill(os.getpid() if self.number == signal.SIGKILL else os.getppid(), self.number)
        return super().pictures()


if __name__ == "__main__":
    out, *number = sys.argv[1:]
    first, second, third = toy_pairs()
    pairs = [first, Ending(second.name, second.a, second.b, int(number[0])) if number else second, third]
    quiet(out, pairs, steps=30, keep_seconds=0)
