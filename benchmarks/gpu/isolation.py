"""Functions run in processes of their own, so that one that fails, hangs or kills its process stops nothing else."""

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class Failure(Exception):
    """The function raised, died or took too long: ``kind`` is the name of the error, the message its traceback."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Job:
    """``function(*arguments)`` in a process of its own, started at once."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        context = _context()
        self._answer, answers = context.Pipe(duplex=False)
        self._process = context.Process(target=_answer, args=(answers, function, arguments))
        self._process.start()
        answers.close()

    def result(self, seconds: float) -> Any:
        """What the function returned.

        Raises:
            Failure: it returned nothing within so many seconds; the process is ended.
        """
        try:
            if not self._answer.poll(seconds):
                raise Failure("TimeoutError", f"no result after {seconds:.0f} s")
            kind, result = self._answer.recv()
        except EOFError:
            self._process.join()
            raise Failure("ProcessDied", f"exit code {self._process.exitcode}") from None
        finally:
            self.end()
        if kind:
            raise Failure(kind, result)
        return result

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.join()


def _answer(answers: Connection, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    try:
        answer = "", function(*arguments)
    except Exception as error:
        answer = type(error).__name__, traceback.format_exc()
    answers.send(answer)


def _context() -> Any:
    """Processes forked from a server that has imported all checks but never touched a GPU, where systems can fork."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.gpu.suite"])
    return context
