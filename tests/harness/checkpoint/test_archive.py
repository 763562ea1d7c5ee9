"""Archives that are built to deceive are refused when they are opened, whatever would come of reading them."""

from __future__ import annotations

import copy
import io
import zipfile
from collections.abc import Callable

import pytest

from harness.checkpoint.containers import archive
from harness.checkpoint.containers.archive import Archive
from harness.checkpoint.stored import DamagedError


def opened(change: Callable[[zipfile.ZipFile], object], method: int = zipfile.ZIP_STORED) -> Archive:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as made:
        made.writestr("a/first", b"one" * 20)
        made.writestr("a/second", b"two" * 20)
        change(made)
    return Archive(stream, len(stream.getvalue()))


def twice(made: zipfile.ZipFile, name: str) -> None:
    """Enters the second file into the table of contents once more."""
    entry = copy.copy(made.infolist()[1])
    entry.filename = name
    made.filelist.append(entry)


def test_a_sound_one() -> None:
    found = opened(lambda made: None)
    assert found.names == ("a/first", "a/second")
    assert found.read("a/second") == b"two" * 20
    assert found.head("a/first", 4) == b"oneo"
    with pytest.raises(DamagedError, match="is missing"):
        found.read("a/third")


def test_entries_that_share_their_bytes() -> None:
    with pytest.raises(DamagedError, match="entries overlap at a/other"):
        opened(lambda made: twice(made, "a/other"))


def test_two_entries_of_one_name() -> None:
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        pytest.raises(DamagedError, match="two entries have the same name"),
    ):
        opened(lambda made: made.writestr("a/first", b"other"))


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "\\x", "a\\..\\x", "C:/x"])
def test_names_that_lead_out(name: str) -> None:
    with pytest.raises(DamagedError, match="leads out of the archive"):
        opened(lambda made: made.writestr(name, b"x"))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_no_checkpoint_uses(method: int) -> None:
    with pytest.raises(DamagedError, match="compressed in a way"):
        opened(lambda made: None, method)


def test_a_bomb_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SMALL", 0)
    found = opened(lambda made: made.writestr("a/bomb", bytes(10**6)), zipfile.ZIP_DEFLATED)
    assert found.read("a/first") == b"one" * 20
    assert found.head("a/bomb", 5) == bytes(5)
    with pytest.raises(DamagedError, match="expands to more than 8 times the file"):
        found.read("a/bomb")
