"""The ledger: what is true of a job is what lies in its folder.

A job's folder holds ``spec.json``, ``claims/``, ``attempts/`` and, once, ``result.json``. Work starts only with a
claim. Claims are numbered files that ``link(2)`` makes, so that of any number of processes one gets each number. The
highest number holds the job; the next one may be taken only when it was released or its process is dead on this host.
Nothing is ever deleted, so there is no moment at which a claim could be broken twice. Works on NFS, without locks.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import os
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.process import ProcessIdentity
from results.errors import HarnessError
from results.files import make_folder, publish, publish_file, read_json, to_json, write_whole
from results.record import Record

_ATTEMPT = re.compile("[0-9]{4,}-")

NAME_CHARACTERS = 8
"""Characters of its sha256 in the name of a checkpoint."""

OUTCOMES = ("done", "failed", "interrupted")


def now() -> str:
    """The time as ISO 8601 in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _not_ours(path: Path) -> HarnessError:
    return HarnessError(
        f"{path.name} is not what the harness wrote there",
        str(path),
        "move the file away and run the same command again",
    )


@dataclasses.dataclass(frozen=True)
class Claim:
    """The right to work on a job.

    Args:
        number: 1 for the first claim of the job.
        attempt: Name of the attempt that holds it.
        process: Who holds it.
        job_id: The scheduler's id.
        restart: How often the scheduler restarted that job.
        taken: When, ISO 8601.
        submission: Name under which the scheduler knows the job; its id alone may come round again.
        released: Whether it was given back.
    """

    number: int
    attempt: str
    process: ProcessIdentity
    job_id: str
    restart: int
    taken: str
    submission: str = ""
    released: bool = False

    def is_live(self) -> bool:
        """Whether somebody may still be working under it; a process on another host counts as alive."""
        return not self.released and self.process.is_alive() is not False


@dataclasses.dataclass(frozen=True)
class AttemptOutcome:
    """How an attempt ended.

    Args:
        attempt: Its name.
        status: One of :data:`OUTCOMES`; empty where it ended without a word (killed) or is still at work.
        reason: One line, for tables and pages.
        cause: What ended it from outside (``time limit``, ``out of memory``...); empty where its own code did.
    """

    attempt: str
    status: str
    reason: str
    cause: str = ""


@dataclasses.dataclass(frozen=True)
class JobFolder:
    """One job in the ledger.

    Args:
        path: ``jobs/<benchmark>-<key12>``.
    """

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def place(self) -> tuple[str, str]:
        """Room and name, by which submissions name it."""
        return self.path.parent.name, self.path.name

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def spec(self) -> Path:
        return self.path / "spec.json"

    def write_spec(self, spec: Mapping[str, Any]) -> None:
        """Writes what the job is; a later run with the same key may bring another data root."""
        write_whole(self.spec, to_json(spec))

    def read_spec(self) -> dict[str, Any]:
        """Reads ``spec.json``.

        Raises:
            HarnessError: Missing or corrupt.
        """
        spec: dict[str, Any] = read_json(self.spec)
        return spec

    # Results ---------------------------------------------------------------------------------------------------------

    def is_finished(self) -> bool:
        """Whether a result was published."""
        return os.path.exists(f"{self.path}/result.json")

    def read_result(self) -> Record | None:
        """The published record; None where there is none.

        Raises:
            HarnessError: It is not a record.
        """
        return Record.read(self.result) if self.is_finished() else None

    def publish_result(self, record: Record) -> bool:
        """Publishes a result; the first complete one wins, a second stays in its attempt.

        Returns:
            Whether this one was the first.
        """
        text = record.to_json()
        write_whole(self.attempt_folder(record.attempt) / "result.json", text)
        return publish(self.result, text)

    def publish_product(self, file: Path, name: str) -> None:
        """Puts what an attempt made beside the result; a file of that name, which tells its content, stays.

        Raises:
            HarnessError: The workspace cannot be written.
        """
        target = self.path / name
        if target.exists() and target.stat().st_size == file.stat().st_size:
            return
        target.unlink(missing_ok=True)
        publish_file(file, target)

    def product(self) -> Path | None:
        """The checkpoint that the published record names; None where it has none or the file is not whole.

        Raises:
            HarnessError: The record is not one.
        """
        record = self.read_result()
        if record is None:
            return None
        try:
            made = record.details["checkpoint"]
            path = self.path / Path(made["file"]).name
            named = path.stem.endswith(f"-{made['sha256'][:NAME_CHARACTERS]}")
            return path if named and path.stat().st_size == made["bytes"] else None
        except (OSError, KeyError, TypeError):
            return None

    def supersede(self, resumable: bool = False) -> None:
        """Moves the published result to ``superseded/``, where there is one.

        Args:
            resumable: Whether a later attempt may go on from those before; else it begins anew.
        """
        if not resumable:
            self._retire()
        target = self.path / "superseded" / f"{now().replace(':', '')}-{uuid.uuid4().hex[:8]}.json"
        make_folder(target.parent)
        try:
            self.result.rename(target)
        except FileNotFoundError:
            return
        except OSError as error:
            raise HarnessError(
                f"cannot set aside the old result: {error}", str(self.result), "make the workspace writable"
            ) from error

    # Claims ----------------------------------------------------------------------------------------------------------

    @property
    def _claims(self) -> Path:
        return self.path / "claims"

    def claim_path(self, number: int) -> Path:
        """The file of a claim."""
        return self._claims / f"{number:04d}.json"

    def last_claim(self) -> Claim | None:
        """The claim with the highest number; None where there was none.

        Raises:
            HarnessError: Its file is corrupt.
        """
        try:
            names = os.listdir(f"{self.path}/claims")
        except OSError:
            return None
        newest = max((int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal()), default=0)
        if not newest:
            return None
        return self.claim(newest, f"{newest:04d}.released" in names)

    def claim(self, number: int, released: bool | None = None) -> Claim:
        """The claim of a number.

        Args:
            number: From 1.
            released: Whether it was given back, where that is known; None looks.

        Raises:
            HarnessError: Its file is missing or corrupt.
        """
        path = self.claim_path(number)
        raw = read_json(path)
        try:
            return Claim(
                number=number,
                attempt=raw["attempt"],
                process=ProcessIdentity.from_dict(raw["process"]),
                job_id=raw["job_id"],
                restart=raw["restart"],
                taken=raw["taken"],
                submission=raw.get("submission", ""),
                released=path.with_suffix(".released").exists() if released is None else released,
            )
        except (KeyError, TypeError) as error:
            raise _not_ours(path) from error

    def live_claim(self) -> Claim | None:
        """The claim under which somebody may be working now."""
        claim = self.last_claim()
        return claim if claim is not None and claim.is_live() else None

    def take_claim(
        self,
        attempt: str,
        job_id: str = "",
        restart: int = 0,
        submission: str = "",
        is_gone: Callable[[Claim], bool] = lambda claim: False,
    ) -> Claim | None:
        """Takes the job, if nobody holds it.

        Args:
            attempt: Name of the attempt, from :func:`attempt_name`.
            job_id: The scheduler's id.
            restart: How often the scheduler restarted that job.
            submission: The scheduler's name of it.
            is_gone: Asked of a claim that seems to be held: whether the scheduler says that its job is gone.

        Returns:
            The claim, or None where another process holds the job.

        Raises:
            HarnessError: The workspace cannot be written.
        """
        last = self.last_claim()
        while last is None or not last.is_live() or is_gone(last):
            number = 1 if last is None else last.number + 1
            claim = Claim(number, attempt, ProcessIdentity.current(), job_id, restart, now(), submission)
            fields = dataclasses.asdict(claim)
            del fields["number"], fields["released"]
            if publish(self.claim_path(number), to_json(fields)):
                return claim
            # By its number: over NFS a listing may not show it for a minute, and asking again would not help.
            last = self.claim(number)
        return None

    def release(self, claim: Claim) -> None:
        """Gives a claim back, so that other hosts need not guess whether its process lives."""
        publish(self.claim_path(claim.number).with_suffix(".released"), now() + "\n")

    # Attempts --------------------------------------------------------------------------------------------------------

    @property
    def _attempts(self) -> Path:
        return self.path / "attempts"

    def attempt_folder(self, attempt: str) -> Path:
        return self._attempts / attempt

    def attempts(self) -> list[str]:
        """Names of all attempts, oldest first."""
        try:
            with os.scandir(f"{self.path}/attempts") as entries:
                return sorted(entry.name for entry in entries if _ATTEMPT.match(entry.name) and entry.is_dir())
        except OSError:
            return []

    def attempt_name(self) -> str:
        """A name for the next attempt; unique even where two processes ask at once."""
        numbers = [int(name.partition("-")[0]) for name in self.attempts()]
        return f"{max(numbers, default=0) + 1:04d}-{uuid.uuid4().hex[:12]}"

    def note_slot(self, attempt: str) -> None:
        """Notes that an attempt has its slot and is at work; until then it only waits."""
        write_whole(self.attempt_folder(attempt) / "at_work", now() + "\n")

    def is_at_work(self, attempt: str) -> bool:
        """Whether an attempt has got its slot."""
        return (self.attempt_folder(attempt) / "at_work").exists()

    def end_attempt(self, attempt: str, status: str, reason: str = "", cause: str = "") -> None:
        """Writes how an attempt ended; what was written before stays."""
        outcome = {"status": status, "reason": reason, "cause": cause, "finished": now()}
        publish(self.attempt_folder(attempt) / "outcome.json", to_json(outcome))

    def outcome(self, attempt: str) -> AttemptOutcome:
        """How an attempt ended."""
        path = self.attempt_folder(attempt) / "outcome.json"
        if not path.exists():
            return AttemptOutcome(attempt, "", "")
        raw = read_json(path)
        try:
            return AttemptOutcome(attempt, raw["status"], raw["reason"], raw.get("cause", ""))
        except (KeyError, TypeError) as error:
            raise _not_ours(path) from error

    def last_attempt(self, claim: Claim | None = None) -> str | None:
        """The attempt of the last claim; None where there was none.

        Two processes that ask for a name at once get the same number, so names alone do not tell which one came last.

        Args:
            claim: The last one, where it is known.
        """
        claim = claim or self.last_claim()
        if claim is not None:
            return claim.attempt
        names = self.attempts()
        return names[-1] if names else None

    def last_outcome(self, claim: Claim | None = None) -> AttemptOutcome | None:
        """How the newest attempt ended; None where there was none."""
        attempt = self.last_attempt(claim)
        return self.outcome(attempt) if attempt is not None else None

    def log(self, claim: Claim | None = None) -> Path | None:
        """The newest log: of the last attempt, else what the scheduler kept of the process's start."""
        attempt = self.last_attempt(claim)
        # Plain strings here and below: of ten thousand jobs status looks at each within 0.1 ms.
        path = f"{self.path}/attempts/{attempt}/log.txt"
        if attempt is not None and os.path.exists(path):
            return Path(path)
        kept = sorted((self.path / "submissions").glob("*_log.err"), key=os.path.getmtime)
        return kept[-1] if kept else None

    # The limit of attempts -------------------------------------------------------------------------------------------

    @property
    def _forgiven(self) -> Path:
        return self.path / "forgiven.json"

    def failures(self) -> int:
        """How many attempts failed since the count was last reset; killed and interrupted ones do not count."""
        forgiven = self._noted(self._forgiven)
        return sum(self.outcome(name).status == "failed" for name in self.attempts() if name not in forgiven)

    def last_failure(self) -> str:
        """Why the newest attempt that failed did so; empty where none did."""
        reasons = [each.reason for each in map(self.outcome, self.attempts()) if each.status == "failed"]
        return reasons[-1] if reasons else ""

    def forgive(self) -> None:
        """Resets the count of failures."""
        if self.attempts():
            write_whole(self._forgiven, to_json({"attempts": self.attempts()}))

    # Beginning anew --------------------------------------------------------------------------------------------------

    @property
    def _retired(self) -> Path:
        return self.path / "retired.json"

    def resumable(self) -> list[str]:
        """Attempts that a later one may go on from, oldest first: those since the last result was set aside."""
        retired = self._noted(self._retired)
        return [name for name in self.attempts() if name not in retired]

    def _retire(self) -> None:
        if self.attempts():
            write_whole(self._retired, to_json({"attempts": self.attempts()}))

    def _noted(self, path: Path) -> set[str]:
        """Names of attempts in one of the two files above."""
        if not path.exists():
            return set()
        raw = read_json(path)
        try:
            return set(raw["attempts"])
        except (KeyError, TypeError) as error:
            raise _not_ours(path) from error


@functools.lru_cache(maxsize=1)
def code_revision() -> str:
    """Commit of the checkout that runs, with ``+changes`` where it is not clean; empty for an installed wheel."""
    import subprocess

    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        commit = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit.stdout.strip()
