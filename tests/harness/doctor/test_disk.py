from __future__ import annotations

import errno
import fcntl
import os
import types
from pathlib import Path
from typing import Any

import pytest

from harness.doctor import disk
from harness.doctor.space import Need
from tests.harness.doctor.conftest import MakeSubject, Programs

GB = 10**9


def with_disk(monkeypatch: pytest.MonkeyPatch, free: int, files: int = 10**6, free_files: int = 10**6) -> None:
    status = types.SimpleNamespace(f_bavail=free // 4096, f_frsize=4096, f_files=files, f_favail=free_files)
    monkeypatch.setattr(disk.os, "statvfs", lambda place: status)
    monkeypatch.setattr(disk, "need_of", lambda choices, settings: Need(100 * GB, {"features": 100 * GB}))


@pytest.mark.parametrize(("free", "state"), [(99, "error"), (101, "warning"), (200, "ok")])
def test_space_is_held_against_what_the_suite_writes(
    subject: MakeSubject, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    with_disk(monkeypatch, free * GB)
    found = disk.space(subject())
    assert found.state == state
    assert f"{free:.1f} GB free, the suite writes up to about 100.0 GB (features 100.0 GB)" in found.what


def test_a_disk_with_room_for_few_files_is_a_warning(subject: MakeSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    with_disk(monkeypatch, 200 * GB, free_files=300)
    found = disk.space(subject())
    assert (found.state, found.what) == ("warning", "room for 300 more files only")
    # Some file systems have no fixed number and report none.
    with_disk(monkeypatch, 200 * GB, files=0, free_files=0)
    assert disk.space(subject()).state == "ok"


LFS = "echo '     /lustre/me  941406250  976562500  1000000000       -   12       0       0       -'"
QUOTA = """
echo 'Disk quotas for user me (uid 1000):'
echo '     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace'
echo '     /home 1000000* 900000 1000000 1700000000 12 0 0 0'
exit 1
"""


def test_a_quota_goes_before_the_free_space_of_the_disk(
    subject: MakeSubject, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_disk(monkeypatch, 5000 * GB)
    programs(lfs=LFS)
    found = disk.space(subject())
    # The soft limit counts: what is above it is lost when its grace is over.
    assert (found.state, "36.0 GB left of your quota" in found.what) == ("error", True)
    programs(quota=QUOTA)
    assert "0.0 GB left of your quota" in disk.space(subject()).what


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/a 10 0 0 - 1 0 0 -", []),
        ("/a 10 20 0 - 1 0 0 -", [10 * 1024]),
        ("/a 10* 5 8 6d 1 0 0 -", [0]),
        ("quota: none\n\n/a none here now", []),
        ("", []),
    ],
)
def test_quotas_are_read_and_no_limit_is_none(text: str, left: list[int]) -> None:
    assert disk.parse_quota(text) == left


def test_a_quota_command_that_hangs_or_fails_says_nothing(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(disk, "QUOTA_SECONDS", 0.2)
    programs(lfs="sleep 60", quota="echo 'quota: no such file system' >&2; exit 2")
    assert disk.quota_left(tmp_path) is None


def test_hard_links_work_here_and_nothing_is_left(subject: MakeSubject, tmp_path: Path) -> None:
    assert disk.hard_links(subject()).state == "ok"
    assert not (tmp_path / "work").exists()
    (tmp_path / "work").mkdir()
    disk.hard_links(subject())
    assert list((tmp_path / "work").iterdir()) == []


def test_a_file_system_without_hard_links_is_an_error(subject: MakeSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    found = disk.hard_links(subject())
    assert (found.state, "makes none" in found.what) == ("error", True)
    monkeypatch.setattr(os, "link", lambda first, second: None)
    assert disk.hard_links(subject()).state == "error"


def test_a_workspace_that_cannot_be_written_is_an_error(subject: MakeSubject, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = disk.hard_links(subject(workspace=tmp_path / "file" / "work"))
    assert (found.state, "cannot write" in found.what) == ("error", True)


def test_locks_work_here() -> None:
    assert disk.locks().state == "ok"


def test_locks_that_fail_or_keep_nobody_out_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda stream, kind: None)
    found = disk.locks()
    assert (found.state, "keeps nobody out" in found.what) == ("error", True)

    def refuse(stream: Any, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    found = disk.locks()
    assert (found.state, "No locks available" in found.what, "TMPDIR" in found.mend) == ("error", True, True)


def mounted(monkeypatch: pytest.MonkeyPatch, *pairs: tuple[str, str]) -> None:
    lines = [f"25 1 8:1 / {folder} rw,relatime shared:1 - {kind} source rw" for folder, kind in pairs]
    real = Path.read_text

    def read(path: Path, *words: Any, **options: Any) -> str:
        return "\n".join(lines) if str(path) == "/proc/self/mountinfo" else real(path, *words, **options)

    monkeypatch.setattr(Path, "read_text", read)


def test_the_file_system_of_a_path_is_the_one_mounted_nearest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = tmp_path / "a b"
    place.mkdir()
    named = str(place).replace(" ", "\\040")
    others = ((str(tmp_path), "xfs"), (str(tmp_path / "a"), "tmpfs"), ("/", "ext4"))
    mounted(monkeypatch, (named, "ext3"), (named, "nfs4"), *others)
    assert disk.mount_of(place / "new" / "work") == disk.Mount(place, "nfs4")
    assert disk.mount_of(place).is_network
    assert disk.mount_of(tmp_path).kind == "xfs"
    assert disk.Mount(place, "fuse.glusterfs").is_network
    assert not disk.Mount(place, "ext4").is_network


CLUSTER = {"sbatch": "", "squeue": "", "scancel": "", "scontrol": "", "sinfo": "echo node1; echo node2"}


def test_what_the_nodes_cannot_see_is_an_error(
    subject: MakeSubject, programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs(**CLUSTER)
    mounted(monkeypatch, ("/", "ext4"))
    monkeypatch.setattr(disk, "PRIVATE", (str(tmp_path),))
    found = disk.shared(subject())
    assert (found.state, f"workspace ({tmp_path}/work)" in found.what) == ("error", True)
    monkeypatch.setattr(disk, "PRIVATE", ("/nowhere",))
    found = disk.shared(subject())
    assert (found.state, "--probe" in found.mend) == ("warning", True)
    mounted(monkeypatch, ("/", "nfs4"))
    assert disk.shared(subject()).state == "ok"


def test_a_cluster_of_this_machine_alone_sees_everything(
    subject: MakeSubject, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted(monkeypatch, ("/", "ext4"))
    monkeypatch.setattr(disk.socket, "gethostname", lambda: "node1.example.org")
    programs(**{**CLUSTER, "sinfo": "echo node1; echo node1"})
    found = disk.shared(subject())
    assert (found.state, "all nodes are this machine" in found.what) == ("ok", True)
    programs(sinfo="exit 1")
    assert disk.shared(subject()).state != "ok"
