"""The one interface behind which submitit's executors stand."""

from __future__ import annotations

from typing import Protocol

from harness.ledger import JobFolder


class Submission(Protocol):
    """One job that was handed to an executor; a hint, the ledger tells what is true."""

    @property
    def id(self) -> str:
        """The executor's own id of it, for people."""

    def is_alive(self) -> bool | None:
        """Whether its process is waiting or running; None where the executor cannot say now."""

    def stop(self) -> None:
        """Asks it to end cleanly, so that it can be resumed."""

    def kill(self) -> None:
        """Ends it at once."""


class Executor(Protocol):
    """Starts jobs."""

    name: str

    def submit(self, folder: JobFolder) -> Submission:
        """Hands a job over.

        Raises:
            HarnessError: It could not be started.
        """

    def capacity(self) -> int:
        """How many submissions of one run are useful at a time."""
