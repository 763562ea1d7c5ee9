"""Files that nobody else can have written, and with which permissions files are made."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from results import files
from results.errors import HarnessError
from results.files import make_own_folder, open_own, publish, read_json, use_umask, write_whole

SOMEBODY = 12345


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a path be another user's: root gives it away, anybody else is taken for another user than its owner."""
    if os.geteuid() == 0:
        os.chown(path, SOMEBODY, SOMEBODY)
    else:
        monkeypatch.setattr(files.os, "geteuid", lambda: SOMEBODY)


@pytest.fixture
def umask() -> Iterator[None]:
    """The umask is as before afterwards; it belongs to the process."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "a file.json"
    path.write_text('{"a": 1}')
    path.chmod(0o644)
    return path


def test_what_is_ones_own_is_read(written: Path) -> None:
    with open_own(written) as stream:
        assert stream.read() == b'{"a": 1}'
    assert read_json(written, own=True) == {"a": 1}


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o777])
def test_what_others_may_write_is_refused_with_the_command_that_mends_it(written: Path, mode: int) -> None:
    written.chmod(mode)
    for read in (open_own, lambda path: read_json(path, own=True)):
        with pytest.raises(HarnessError, match=r"others may write a file\.json") as refused:
            read(written)
    assert refused.value.mend.endswith(f"chmod go-w '{written}'")
    assert read_json(written) == {"a": 1}


def test_what_belongs_to_somebody_else_is_refused(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_away(written, monkeypatch)
    with pytest.raises(HarnessError, match="belongs to another user"):
        open_own(written)


def test_what_belongs_to_root_is_read_by_everybody(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fstat

    def of_root(number: int) -> os.stat_result:
        fields = list(real(number))
        fields[stat.ST_UID] = 0
        return os.stat_result(fields)

    monkeypatch.setattr(files.os, "geteuid", lambda: SOMEBODY)
    monkeypatch.setattr(files.os, "fstat", of_root)
    with open_own(written) as stream:
        assert stream.read()


def test_a_link_to_somebody_elses_file_is_refused(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = written.with_name("link")
    link.symlink_to(written)
    give_away(written, monkeypatch)
    with pytest.raises(HarnessError, match="belongs to another user"):
        open_own(link)


def test_a_pipe_or_a_folder_in_its_place_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(HarnessError, match="is not a file"):
            open_own(path)


def test_no_file_stays_open_after_a_refusal(written: Path) -> None:
    written.chmod(0o666)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(HarnessError):
            open_own(written)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_missing_file_is_an_os_error_and_as_json_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_own(tmp_path / "missing")
    with pytest.raises(HarnessError, match=r"cannot read missing"):
        read_json(tmp_path / "missing", own=True)


def test_a_folder_of_ones_own_is_made_with_its_parents(tmp_path: Path, umask: None) -> None:
    use_umask("private")
    made = make_own_folder(tmp_path / "work" / "jobs" / "one", tmp_path / "work")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (made, made.parent, made.parent.parent)] == [0o700] * 3


@pytest.mark.parametrize("level", [".", "jobs", "jobs/one"])
def test_a_folder_below_one_that_others_may_write_is_refused(tmp_path: Path, level: str) -> None:
    root = tmp_path / "work"
    made = make_own_folder(root / "jobs" / "one", root)
    (root / level).chmod(0o775)
    with pytest.raises(HarnessError, match="others may write"):
        make_own_folder(made, root)


def test_folders_above_the_workspace_do_not_matter(tmp_path: Path) -> None:
    above = tmp_path / "scratch"
    above.mkdir()
    above.chmod(0o777)
    assert make_own_folder(above / "work" / "jobs", above / "work").is_dir()


def test_a_workspace_given_by_a_relative_path_is_looked_at_as_far_as_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above = tmp_path / "scratch"
    above.mkdir()
    above.chmod(0o777)
    monkeypatch.chdir(above)
    assert make_own_folder(Path("work/jobs/one"), above / "work").is_dir()
    (above / "work" / "jobs").chmod(0o775)
    with pytest.raises(HarnessError, match="others may write jobs"):
        make_own_folder(Path("work/jobs/one"), Path("work"))


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "work"
    make_own_folder(root / "jobs", root)
    give_away(root / "jobs", monkeypatch)
    with pytest.raises(HarnessError, match="belongs to another user"):
        make_own_folder(root / "jobs" / "one", root)


@pytest.mark.parametrize(("readers", "file", "folder"), [("private", 0o600, 0o700), ("readable", 0o644, 0o755)])
def test_files_and_folders_are_made_with_the_permissions_asked_for(
    tmp_path: Path, umask: None, readers: str, file: int, folder: int
) -> None:
    use_umask(readers)  # type: ignore[arg-type]
    write_whole(tmp_path / "new" / "whole", "text")
    publish(tmp_path / "new" / "published", "text")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new/whole", "new/published", "new")]
    assert modes == [file, file, folder]


def test_threads_and_children_have_the_umask_too(tmp_path: Path, umask: None) -> None:
    use_umask("private")
    thread = threading.Thread(target=lambda: write_whole(tmp_path / "thread", "text"))
    thread.start()
    thread.join()
    os.system(f"touch '{tmp_path}/child'")
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
