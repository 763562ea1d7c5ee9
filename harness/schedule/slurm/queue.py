"""What SLURM says of many jobs at once: one call of squeue, and one of sacct for those that it has forgotten."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
from collections.abc import Collection, Iterable, Mapping

from harness.schedule.slurm.commands import call
from harness.schedule.slurm.states import HELD_REASONS, NEVER_REASONS, Phase, base_state, phase_of
from results.errors import HarnessError

SQUEUE_FIELDS = "%i|%T|%r|%N|%j"
"""Id, state, reason, nodes, name; the name stands last, since it alone may hold the separator."""
SACCT_FIELDS = "JobID,State,ExitCode,NodeList,JobName"
IDS_A_CALL = 1000
"""Arrays asked for in one call of sacct; a longer command line helps nobody."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One job, or one task of an array.

    Args:
        id: ``123`` or ``123_4``.
        state: SLURM's name of its state.
        reason: Why it waits, SLURM's word.
        nodes: Where it runs.
        name: Its name, by which a number that was given twice is told apart.
        exit_code: ``status:signal``; empty where unknown.
    """

    id: str
    state: str
    reason: str = ""
    nodes: str = ""
    name: str = ""
    exit_code: str = ""

    @property
    def phase(self) -> Phase:
        return phase_of(self.state)

    @property
    def is_held(self) -> bool:
        """Whether SLURM holds it after it could not start it."""
        return self.phase is Phase.QUEUED and any(word in self.reason for word in HELD_REASONS)

    @property
    def never_starts(self) -> bool:
        """Whether it waits for what cannot come."""
        return self.phase is Phase.QUEUED and any(word in self.reason for word in NEVER_REASONS)


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What SLURM said at one moment.

    Args:
        entries: By (name, array's index or 0): a name is given to one submission only, a number may come round again.
        answered: Whether squeue answered; if not, nothing may be concluded from a job's absence.
        accounting: Whether sacct answered too.
        calls: How many commands were run.
        ended: Those that seemed to be between two nodes, and were so again when looked at later: they have ended.
    """

    entries: Mapping[tuple[str, int], Entry]
    answered: bool
    accounting: bool
    calls: int
    ended: frozenset[tuple[str, int]] = frozenset()

    def find(self, name: str, index: int) -> Entry | None:
        """The entry of one task of a submission; None where SLURM does not know it."""
        return self.entries.get((name, index))

    def phase(self, name: str, index: int) -> Phase:
        """Where one task of a submission stands; one that nobody knows has ended, if squeue could be asked."""
        entry = self.find(name, index)
        if entry is not None:
            return Phase.ENDED if (name, index) in self.ended else entry.phase
        return Phase.ENDED if self.answered else Phase.BETWEEN


SILENCE = Snapshot({}, answered=False, accounting=False, calls=0)
"""Where there is no SLURM, or it does not answer."""


def task_index(number: str) -> int:
    """The index in an array that an id names; 0 for a job that is no array."""
    _, _, index = number.partition("_")
    return int(index) if index.isdecimal() else 0


def parse_squeue(text: str) -> list[Entry]:
    """Reads squeue's answer in :data:`SQUEUE_FIELDS`; lines of another form are passed over."""
    entries = []
    for line in text.splitlines():
        parts = line.split("|", 4)
        if len(parts) == 5 and parts[0][:1].isdecimal():
            number, state, reason, nodes, name = parts
            entries.append(Entry(number.strip(), base_state(state), reason, nodes, name))
    return entries


def parse_sacct(text: str) -> list[Entry]:
    """Reads sacct's answer in :data:`SACCT_FIELDS`; of a job that was requeued the last line counts."""
    entries = []
    for line in text.splitlines():
        parts = line.split("|", 4)
        if len(parts) == 5 and parts[0][:1].isdecimal() and "." not in parts[0]:
            number, state, exit_code, nodes, name = parts
            entries.append(Entry(number.strip(), base_state(state), "", nodes, name.rstrip("|"), exit_code))
    return entries


def snapshot(wanted: Mapping[str, Collection[int]], ids: Mapping[str, str]) -> Snapshot:
    """Asks SLURM of the jobs of several submissions.

    Args:
        wanted: Indices of the tasks by the name of their submission.
        ids: SLURM's number of each submission where it is known, by name.

    Returns:
        What it said.
    """
    try:
        said = call(_squeue(f"--user={getpass.getuser()}"))
    except HarnessError:
        return SILENCE
    entries = _by_name(parse_squeue(said), wanted)
    missing = [
        name
        for name, indices in wanted.items()
        if name in ids and any((name, index) not in entries for index in indices)
    ]
    if not missing:
        return Snapshot(entries, answered=True, accounting=False, calls=1)
    found, calls = _ask_accounting([ids[name] for name in missing])
    if found is None:
        return Snapshot(entries, answered=True, accounting=False, calls=1 + calls)
    older = _by_name(found, wanted)
    return Snapshot({**older, **entries}, answered=True, accounting=True, calls=1 + calls)


def look_up(name: str) -> str | None:
    """SLURM's number of the submission of a name.

    Returns:
        The number; empty where there is none for certain; None where nobody could be asked.
    """
    try:
        said = call(_squeue(f"--name={name}"))
    except HarnessError:
        return None
    entries = [entry for entry in parse_squeue(said) if entry.name == name]
    if not entries:
        with contextlib.suppress(HarnessError):
            # Without a start sacct looks at today only.
            said = call(_sacct("--starttime=now-30days", f"--name={name}"))
            entries = [entry for entry in parse_sacct(said) if entry.name == name]
    return entries[-1].id.partition("_")[0] if entries else ""


def seconds_left(number: str) -> float | None:
    """How long a job may still run; None where SLURM does not say."""
    try:
        said = call(["squeue", "--noheader", f"--jobs={number}", "--format=%L"], 10.0).strip()
    except HarnessError:
        return None
    days, dash, clock = said.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdecimal() for part in parts) or (dash and not days.isdecimal()):
        return None
    seconds = sum(int(part) * factor for part, factor in zip(reversed(parts), (1, 60, 3600), strict=False))
    return seconds + (int(days) * 86400 if dash else 0)


def _squeue(*words: str) -> list[str]:
    return ["squeue", "--noheader", "--array", "--states=all", f"--format={SQUEUE_FIELDS}", *words]


def _sacct(*words: str) -> list[str]:
    return ["sacct", "--noheader", "--parsable2", "--allocations", f"--format={SACCT_FIELDS}", *words]


def _ask_accounting(numbers: list[str]) -> tuple[list[Entry] | None, int]:
    found: list[Entry] = []
    calls = 0
    for begin in range(0, len(numbers), IDS_A_CALL):
        calls += 1
        try:
            # Duplicates are the earlier incarnations of a job that was requeued; the last one is what counts.
            found += parse_sacct(
                call(_sacct("--duplicates", f"--jobs={','.join(numbers[begin : begin + IDS_A_CALL])}"))
            )
        except HarnessError:
            return None, calls
    return found, calls


def _by_name(entries: Iterable[Entry], wanted: Mapping[str, Collection[int]]) -> dict[tuple[str, int], Entry]:
    return {(entry.name, task_index(entry.id)): entry for entry in entries if entry.name in wanted}
