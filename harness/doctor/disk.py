"""The workspace's disk: space, quota, hard links, locks, and whether nodes see it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from harness.doctor.findings import Finding, error, ok, warning
from harness.doctor.space import need_of
from harness.doctor.subject import Subject
from harness.startup import code_root
from results.errors import HarnessError

QUOTA_SECONDS = 10.0
ANSWER_SECONDS = 10.0
KIB = 1024
COMFORT = 1.5
"""Less than so many times the estimate is too close, since it is rough."""
LEAST_FILES = 20_000
"""An attempt has some twenty files, a suite some twenty jobs; attempts and evaluations multiply that."""

NETWORK = (
    "nfs", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb", "panfs", "wekafs", "orangefs", "pvfs2", "afs", "9p",
    "glusterfs", "quobyte", "daos", "vast", "moosefs", "juicefs",
)  # fmt: skip
"""What the types of file systems begin with, or with ``fuse.`` before it, that several machines usually see."""
PRIVATE = ("/tmp", "/var/tmp", "/dev/shm", "/run")
"""Folders that each machine has for itself."""


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder of its own inside another, which is made where it is missing; nothing is left of both.

    Raises:
        OSError: It cannot be made.
    """
    absent = [each for each in (folder, *folder.parents) if not each.exists()]
    own = folder / f".doctor-{uuid.uuid4().hex[:12]}"
    own.mkdir(parents=True)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        for each in absent:
            # Somebody may have put something into it by now.
            with contextlib.suppress(OSError):
                each.rmdir()


def nearest(path: Path) -> Path:
    """The path, or the first folder above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


def gigabytes(size: float) -> str:
    """For people."""
    return f"{size / 1e9:,.1f} GB"


def space(subject: Subject) -> Finding:
    """Free space and the user's quota against what the suite will write."""
    place = nearest(subject.settings.workspace.absolute())
    need = need_of(subject.choices, subject.settings)
    largest = ", ".join(
        f"{name} {gigabytes(size)}" for name, size in sorted(need.parts.items(), key=lambda part: -part[1])[:3]
    )
    status = os.statvfs(place)
    free, limit = status.f_bavail * status.f_frsize, quota_left(place)
    left = free if limit is None else min(free, limit)
    whose = "free" if limit is None or free <= limit else "left of your quota"
    said = f"{gigabytes(left)} {whose}, the suite writes up to about {gigabytes(need.size)} ({largest})"
    mend = "free some space or raise the quota, choose another --workspace, or run parts of the suite"
    if left < need.size:
        return error("space", said, mend)
    if left < need.size * COMFORT:
        return warning("space", said, mend)
    # A file system that has no fixed number of files reports none at all.
    if status.f_files and status.f_favail < LEAST_FILES:
        return warning("space", f"room for {status.f_favail:,} more files only", "remove files (inodes) of that disk")
    return ok("space", said)


def quota_left(place: Path) -> int | None:
    """Bytes that the user may still write; None where no quota is known.

    Asked are ``lfs quota`` (Lustre) and ``quota`` (quota(1)); other systems' tools differ from site to site.
    """
    found = []
    for words in (
        ["lfs", "quota", "-q", "-u", getpass.getuser(), str(place)],
        ["quota", "-w", "-p", "--show-mntpoint", "--hide-device", "-f", str(mount_of(place).folder)],
    ):
        if shutil.which(words[0]) is None:
            continue
        try:
            # quota ends with 1 where it is exceeded.
            done = subprocess.run(
                words, capture_output=True, timeout=QUOTA_SECONDS, check=False, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        found += parse_quota(done.stdout.decode(errors="replace"))
    return min(found, default=None)


def parse_quota(text: str) -> list[int]:
    """Bytes that are left by each line ``PLACE USED SOFT HARD ...`` in KiB; a star marks what is exceeded."""
    left = []
    for line in text.splitlines():
        numbers = [word.rstrip("*") for word in line.split()[1:4]]
        if len(numbers) < 3 or not all(number.isdecimal() for number in numbers):
            continue
        used, *limits = map(int, numbers)
        bounds = [limit for limit in limits if limit]
        if bounds:
            left.append(max(0, min(bounds) - used) * KIB)
    return left


def hard_links(subject: Subject) -> Finding:
    """Whether the workspace can be written, and its file system makes hard links, by which results are published."""
    workspace = subject.settings.workspace.absolute()
    elsewhere = "choose a --workspace on another file system (local disks, NFS and Lustre do)"
    try:
        with scratch(workspace) as folder:
            first, second = folder / "first", folder / "second"
            first.write_bytes(b"x" * 4096)
            try:
                os.link(first, second)
            except OSError as failed:
                return error("hard links", f"{workspace} makes none: {failed.strerror}", elsewhere)
            try:
                os.link(first, second)
            except FileExistsError:
                return ok("hard links", f"{workspace} can be written and makes them")
            return error("hard links", f"{workspace} makes two of one name", elsewhere)
    except OSError as failed:
        mend = "make the folder writable, or choose another --workspace"
        return error("hard links", f"cannot write in {workspace}: {failed.strerror}", mend)


def locks() -> Finding:
    """Whether flock works in the temporary folder: slots of this machine are locks there."""
    mend = "set TMPDIR to a folder of a local disk"
    try:
        place = Path(tempfile.gettempdir())
        with tempfile.TemporaryFile(dir=place) as probe:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open(f"/proc/self/fd/{probe.fileno()}", "rb") as again:
                try:
                    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return ok("locks", f"flock works in {place}")
    except OSError as failed:
        return error("locks", f"flock does not work in the temporary folder: {failed}", mend)
    return error("locks", f"flock in {place} keeps nobody out", mend)


@dataclasses.dataclass(frozen=True)
class Mount:
    """Where a file system hangs.

    Args:
        folder: Its mount point.
        kind: Its type, as the kernel calls it.
    """

    folder: Path
    kind: str

    @property
    def is_network(self) -> bool:
        """Whether several machines usually see it."""
        return self.kind.removeprefix("fuse.").startswith(NETWORK)


def mount_of(path: Path) -> Mount:
    """The file system that a path lies on (``/proc/self/mountinfo``, proc(5))."""
    real = nearest(path).resolve()
    found = Mount(Path("/"), "")
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        # Spaces and the like stand there as octal numbers.
        folder = Path(os.fsdecode(os.fsencode(before.split()[4]).decode("unicode_escape").encode("latin-1")))
        if real.is_relative_to(folder) and len(folder.parts) >= len(found.folder.parts):
            found = Mount(folder, after.split()[0])
    return found


def shared(subject: Subject) -> Finding:
    """Whether the nodes of the cluster see workspace, data, code and Python."""
    settings = subject.settings
    places = {
        "workspace": settings.workspace.absolute(),
        "data": settings.data.absolute(),
        "code": code_root(),
        "Python": Path(sys.prefix),
    }
    mounts = {name: mount_of(path) for name, path in places.items()}
    listed = ", ".join(f"{name} on {mount.kind or 'an unknown disk'}" for name, mount in mounts.items())
    private = [
        f"{name} ({path})"
        for name, path in places.items()
        if any(nearest(path).resolve().is_relative_to(each) for each in PRIVATE) and not mounts[name].is_network
    ]
    local = [f"{name} ({places[name]}, {mount.kind})" for name, mount in mounts.items() if not mount.is_network]
    if not local:
        return ok("shared", listed)
    if _nodes_are_here():
        return ok("shared", f"{listed}; all nodes are this machine")
    if private:
        mend = "move it to a disk that all nodes see, for example a project folder"
        return error("shared", f"every node has a folder of its own there: {', '.join(private)}", mend)
    mend = "python -m harness doctor --probe tells whether nodes see it; if not, move it to a disk that they see"
    return warning("shared", f"perhaps not seen by the nodes: {', '.join(local)}", mend)


def _nodes_are_here() -> bool:
    """Whether this machine is the whole cluster."""
    from harness.schedule.slurm.commands import call

    try:
        names = set(call(["sinfo", "--noheader", "--Node", "--format=%n"], ANSWER_SECONDS).split())
    except HarnessError:
        return False
    here = socket.gethostname()
    return bool(names) and names <= {here, here.partition(".")[0], "localhost"}
