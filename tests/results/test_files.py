from __future__ import annotations

import errno
import json
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from results import files
from results.errors import HarnessError
from results.files import make_folder, publish, read_json, to_json, write_whole

WRITERS: list[Callable[[Path, str], Any]] = [write_whole, publish]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def raiser(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def test_of_concurrent_publishers_exactly_one_wins_and_its_content_stays(tmp_path: Path) -> None:
    target = tmp_path / "job" / "result.json"
    contents = [f"{number:03d}" * 100_000 for number in range(12)]
    start = threading.Barrier(len(contents))
    won: list[int] = []

    def work(number: int) -> None:
        start.wait()
        if publish(target, contents[number]):
            won.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(contents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert target.read_text() == contents[won[0]]
    assert names(target.parent) == ["result.json"]


def test_a_second_publisher_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    assert publish(target, "first")
    assert not publish(target, b"second")
    assert target.read_text() == "first"
    assert names(tmp_path) == ["result.json"]


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    target = tmp_path / "page.md"
    contents = {letter * 200_000 for letter in "ab"}
    write_whole(target, "a" * 200_000)
    done = threading.Event()
    torn: list[int] = []

    def read() -> None:
        while not done.is_set():
            text = target.read_text()
            if text not in contents:
                torn.append(len(text))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        for content in sorted(contents):
            write_whole(target, content)
    done.set()
    reader.join()
    assert not torn
    assert names(tmp_path) == ["page.md"]


@pytest.mark.parametrize("write", WRITERS)
def test_content_is_utf8_and_folders_are_made(write: Callable[[Path, str], Any], tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "naïve ☃.txt"
    write(target, "naïve ☃\n")
    assert target.read_bytes() == "naïve ☃\n".encode()


def test_a_function_may_write_the_content(tmp_path: Path) -> None:
    write_whole(tmp_path / "x", lambda stream: stream.write(b"12"))
    assert (tmp_path / "x").read_bytes() == b"12"


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("number", "word"), [(errno.ENOSPC, "space"), (errno.EDQUOT, "quota"), (errno.EIO, "check the disk")]
)
def test_a_failed_write_leaves_the_old_file_and_no_other(
    write: Callable[[Path, str], Any], number: int, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    # fsync is where a full disk shows at the latest: by then the temporary file is there.
    monkeypatch.setattr(os, "fsync", raiser(number))
    with pytest.raises(HarnessError, match=word):
        write(target, "new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["result.json"]


def test_a_disk_that_fills_up_half_way_leaves_nothing(tmp_path: Path) -> None:
    def write(stream: IO[bytes]) -> None:
        stream.write(b"half")
        stream.flush()
        assert any(name.endswith(files.TEMPORARY_SUFFIX) for name in names(tmp_path))
        raiser(errno.ENOSPC)()

    with pytest.raises(HarnessError, match="no space left for x"):
        write_whole(tmp_path / "x", write)
    assert names(tmp_path) == []


def test_an_interrupt_while_writing_leaves_nothing_and_is_passed_on(tmp_path: Path) -> None:
    def write(_: IO[bytes]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "x", write)
    assert names(tmp_path) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
@pytest.mark.parametrize("write", WRITERS)
def test_a_read_only_folder_is_explained(
    write: Callable[[Path, str], Any], number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests may run as root, to whom every folder is writable, so the refusal is made by hand.
    monkeypatch.setattr(Path, "open", raiser(number))
    with pytest.raises(HarnessError) as caught:
        write(tmp_path / "x", "new")
    assert "--workspace" in caught.value.mend
    assert caught.value.where == str(tmp_path)
    assert names(tmp_path) == []


def test_a_failed_rename_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", raiser(errno.EIO))
    with pytest.raises(HarnessError, match="cannot write x"):
        write_whole(tmp_path / "x", "new")
    assert names(tmp_path) == []


def test_a_failed_link_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", raiser(errno.EIO))
    with pytest.raises(HarnessError, match="cannot write x"):
        publish(tmp_path / "x", "new")
    assert names(tmp_path) == []


def test_a_link_whose_reply_was_lost_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def lose_the_reply(source: Path, target: Path) -> None:
        link(source, target)
        raiser(errno.EIO)()

    monkeypatch.setattr(os, "link", lose_the_reply)
    assert publish(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new"
    assert names(tmp_path) == ["x"]


def test_a_file_where_a_folder_is_needed_is_explained(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    for folder in (tmp_path / "runs", tmp_path / "runs" / "deeper"):
        with pytest.raises(HarnessError, match="a file stands where a folder is needed"):
            make_folder(folder)


def test_temporary_names_differ_and_fit_a_file_system(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)
    made = {files.temporary_name(path) for _ in range(100)}
    assert len(made) == 100
    assert all(name.parent == tmp_path and len(name.name) < 255 for name in made)


def test_json_is_for_people_and_refuses_nan() -> None:
    value = {"name": "naïve", "list": [1, 2.5, None]}
    text = to_json(value)
    assert json.loads(text) == value
    assert text.endswith("}\n")
    assert "naïve" in text
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="JSON"):
            to_json({"value": bad})


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe", b"not json"])
def test_broken_json_is_a_refusal_that_names_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(HarnessError) as caught:
        read_json(path)
    assert caught.value.where == str(path)
    assert caught.value.mend


def test_missing_json_is_a_refusal(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(HarnessError, match="cannot read"):
            read_json(path)
