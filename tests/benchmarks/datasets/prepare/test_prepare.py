from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.datasets.check import check
from benchmarks.datasets.layout import DATA_SETS
from benchmarks.datasets.prepare import RECIPES, Prepared, prepare
from benchmarks.datasets.prepare import place as place_module
from harness.cli.data import app
from results.errors import HarnessError
from tests.benchmarks.datasets.prepare.official import reading, tar_of, unpack

ROOT = Path(__file__).resolve().parents[4]
Packed = Callable[[str], list[Path]]


def run(name: str, sources: Sequence[Path], root: Path) -> Prepared:
    return prepare(name, sources, root, lambda source: lambda done, total: None)


def invoke(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def files(root: Path) -> dict[str, int]:
    """Every file with its inode and time of change in one number, so that one written anew shows."""
    return {
        path.relative_to(root).as_posix(): hash((path.stat().st_ino, path.stat().st_mtime_ns))
        for path in root.rglob("*")
        if path.is_file()
    }


def test_every_data_set_has_a_recipe() -> None:
    assert list(RECIPES) == list(DATA_SETS)


@pytest.mark.parametrize("name", DATA_SETS)
def test_archives_become_what_the_layout_reads(name: str, small: Path, packed: Packed, tmp_path: Path) -> None:
    done = run(name, packed(name), tmp_path)
    assert reading(name, tmp_path) == reading(name, small)
    report = check(name, tmp_path, decode=True)
    assert (report.sound, report.unlisted) == (True, ())
    assert not done.already
    assert done.written > 0
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("name", DATA_SETS)
def test_unpacked_folders_do_as_well(name: str, small: Path, packed: Packed, tmp_path: Path) -> None:
    run(name, unpack(packed(name), tmp_path / "unpacked"), tmp_path / "data")
    assert reading(name, tmp_path / "data") == reading(name, small)
    report = check(name, tmp_path / "data", decode=True)
    assert (report.sound, report.unlisted) == (True, ())


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_folder_of_archives_does_as_well(name: str, small: Path, packed: Packed, tmp_path: Path) -> None:
    run(name, [packed(name)[0].parent], tmp_path)
    assert reading(name, tmp_path) == reading(name, small)


@pytest.mark.parametrize("name", DATA_SETS)
def test_what_is_prepared_is_left_alone(name: str, packed: Packed, tmp_path: Path) -> None:
    run(name, packed(name), tmp_path)
    before = files(tmp_path)
    assert run(name, [Path("/there/is/no.tar")], tmp_path) == Prepared(name, already=True)
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", DATA_SETS)
def test_sources_one_call_after_the_other(name: str, small: Path, packed: Packed, tmp_path: Path) -> None:
    """Each call but the last says what is missing; the last of ImageNet and VOC needs its lists again."""
    again = {"imagenet": packed("imagenet")[-1:], "voc12aug_segmentation": packed("voc12aug_segmentation")[-1:]}
    for archive in packed(name)[:-1]:
        with pytest.raises(HarnessError, match=r"missing|there (is|are) no|nothing says") as caught:
            run(name, [archive], tmp_path)
        assert "--from" in caught.value.mend
    run(name, again.get(name, packed(name)[-1:]), tmp_path)
    assert reading(name, tmp_path) == reading(name, small)


def test_the_order_of_sources_does_not_matter(small: Path, packed: Packed, tmp_path: Path) -> None:
    devkit, *others = reversed(packed("imagenet"))
    renamed = Path(shutil.copy(devkit, tmp_path / "kit.tar.gz"))
    run("imagenet", [*others, renamed], tmp_path / "data")
    assert reading("imagenet", tmp_path / "data") == reading("imagenet", small)
    assert not list((tmp_path / "data/imagenet/val").glob("*.JPEG"))


def test_unpacked_in_place(small: Path, packed: Packed, tmp_path: Path) -> None:
    """Archives unpacked into the layout's own folders, flat validation images among them."""
    home = tmp_path / "imagenet"
    train, val, devkit = unpack(packed("imagenet"), tmp_path / "unpacked")
    shutil.copytree(train, home / "train")
    shutil.copytree(val, home / "val")
    run("imagenet", [home, devkit], tmp_path)
    assert reading("imagenet", tmp_path) == reading("imagenet", small)
    assert not list((home / "val").glob("*.JPEG"))


def test_files_of_a_folder_are_not_copied_on_the_same_disk(packed: Packed, tmp_path: Path) -> None:
    folders = unpack(packed("coco"), tmp_path / "unpacked")
    run("coco", folders, tmp_path / "data")
    (one, *_) = sorted((tmp_path / "data/coco/val2017").iterdir())
    assert one.samefile(folders[1] / "val2017" / one.name)


def test_files_are_copied_where_no_link_can_be_made(
    packed: Packed, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    run("places205", unpack(packed("places205"), tmp_path / "unpacked"), tmp_path / "data")
    assert reading("places205", tmp_path / "data") == reading("places205", small)


KILLED = """
import os, signal, sys
from pathlib import Path
from benchmarks.datasets.prepare import place, prepare

whole, count = place._copy, 0

def copy(member, target):
    global count
    count += 1
    if count > 7:
        with member.open() as stream, target.open("xb") as out:
            out.write(stream.read(member.size // 2))
            out.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    whole(member, target)

place._copy = copy
prepare(sys.argv[1], [Path(one) for one in sys.argv[3:]], Path(sys.argv[2]), lambda source: lambda done, total: None)
"""


@pytest.mark.parametrize("name", ["imagenet", "coco", "places205"])
def test_a_killed_call_goes_on(name: str, small: Path, packed: Packed, tmp_path: Path) -> None:
    words = [sys.executable, "-P", "-c", KILLED, name, str(tmp_path), *map(str, packed(name))]
    killed = subprocess.run(words, check=False, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.rglob(".*.tmp"))) == 1
    before = {path: value for path, value in files(tmp_path).items() if not Path(path).name.startswith(".")}
    assert len(before) == 7
    done = run(name, packed(name), tmp_path)
    after = files(tmp_path)
    assert {path: after[path] for path in before} == before
    assert done.kept == 7
    assert not list(tmp_path.rglob(".*"))
    assert reading(name, tmp_path) == reading(name, small)


def test_a_half_prepared_data_set_is_not_taken_for_whole(packed: Packed, tmp_path: Path) -> None:
    """Places205's lists come ready-made: of 2.4 million images only a thousand are looked for."""
    run("places205", packed("places205"), tmp_path)
    (tmp_path / ".prepare-places205").write_text("unfinished")
    assert not run("places205", packed("places205"), tmp_path).already
    assert run("places205", packed("places205"), tmp_path).already


def test_an_empty_file_that_a_power_failure_left_is_written_again(packed: Packed, small: Path, tmp_path: Path) -> None:
    run("coco", packed("coco"), tmp_path)
    (tmp_path / "coco/annotations/instances_val2017.json").write_bytes(b"")
    run("coco", packed("coco"), tmp_path)
    assert reading("coco", tmp_path) == reading("coco", small)


def test_a_file_of_another_size_is_not_overwritten(packed: Packed, tmp_path: Path) -> None:
    own = tmp_path / "coco/val2017/000000000007.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"resized by hand")
    with pytest.raises(HarnessError, match=r"coco/val2017/000000000007.jpg is there with 15 bytes"):
        run("coco", packed("coco"), tmp_path)
    assert own.read_bytes() == b"resized by hand"


def test_a_list_of_the_user_is_set_aside(packed: Packed, tmp_path: Path) -> None:
    own = tmp_path / "imagenet/meta/val.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine.JPEG 3\n")
    done = run("imagenet", packed("imagenet"), tmp_path)
    assert own.with_name("val.txt.old").read_text() == "mine.JPEG 3\n"
    assert "imagenet/meta/val.txt: 10 images (the one before is now val.txt.old)" in done.made


class FullDisk:
    """A stream on which nothing more can be written."""

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, content: bytes) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk(packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Path.open

    def full(self: Path, mode: str = "r", *words: object, **names: object) -> object:
        stream = plain(self, mode, *words, **names)  # type: ignore[call-overload]
        return FullDisk() if self.name.startswith(".000000000003.jpg") else stream

    monkeypatch.setattr(place_module.Path, "open", full)
    with pytest.raises(HarnessError, match=r"no space left for 000000000003.jpg") as caught:
        run("coco", packed("coco"), tmp_path)
    assert "run the same command again" in caught.value.mend
    assert not list((tmp_path / "coco").rglob(".*"))
    monkeypatch.undo()
    run("coco", packed("coco"), tmp_path)
    assert check("coco", tmp_path, decode=True).sound


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(packed: Packed, tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir(mode=0o500)
    with pytest.raises(HarnessError, match="cannot write"):
        run("coco", packed("coco"), tmp_path)


def test_a_file_where_a_folder_is_needed(packed: Packed, tmp_path: Path) -> None:
    (tmp_path / "coco").write_text("a file")
    with pytest.raises(HarnessError, match="cannot write"):
        run("coco", packed("coco"), tmp_path)


def test_two_calls_at_once(packed: Packed, tmp_path: Path) -> None:
    program = "import fcntl, os, sys, time; fcntl.flock(os.open(sys.argv[1], 0), 2); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(HarnessError, match="another data prepare is at work there"):
            run("coco", packed("coco"), tmp_path)
        other.kill()
    run("coco", packed("coco"), tmp_path)


def test_progress_ends_at_the_size_of_each_archive(packed: Packed, tmp_path: Path) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    prepare("imagenet", packed("imagenet"), tmp_path, lambda name: lambda *now: told.setdefault(name, []).append(now))  # type: ignore[misc]
    sizes = {path.name: path.stat().st_size for path in packed("imagenet")}
    assert {name: now[-1] for name, now in told.items()} == {name: (size, size) for name, size in sizes.items()}
    assert all(sorted(now) == now for now in told.values())


def test_the_command(packed: Packed, tmp_path: Path) -> None:
    words = ["prepare", "imagenet", "--data", tmp_path]
    for archive in packed("imagenet"):
        words += ["--from", archive]
    first = invoke(*words)
    assert first.exit_code == 0, first.output
    assert f"imagenet: wrote 30 files below {tmp_path}; 0 were there\n" in first.stdout
    assert "  imagenet/meta/train.txt: 20 images\n  imagenet/meta/val.txt: 10 images\n" in first.stdout
    assert f"next: python -m harness data check --data {tmp_path} --suite imagenet\n" in first.stdout
    second = invoke(*words)
    assert second.exit_code == 0
    assert f"imagenet: already prepared below {tmp_path}\n" in second.stdout
    assert invoke(*words, "--quiet").output == ""
    checked = invoke("check", "--data", tmp_path, "--suite", "imagenet", "--allow-nonstandard-data")
    assert checked.exit_code == 0, checked.output
    assert invoke("check", "--data", tmp_path, "--suite", "imagenet").exit_code == 2


def test_mistakes_of_the_command(packed: Packed, tmp_path: Path) -> None:
    for words, what in (
        (["imagnet"], "unknown data set"),
        (["coco"], "nothing says from what to prepare it"),
        (["coco", "--from", tmp_path / "train2017.zip"], "there is no file or folder"),
        (["coco", "--from", packed("imagenet")[0]], "nothing of the data set is in this archive"),
        (["coco", "--from", Path(__file__)], "nothing of the data set is in this place"),
    ):
        failed = invoke("prepare", *words, "--data", tmp_path / "data")
        assert isinstance(failed.exception, HarnessError), words
        assert what in failed.exception.what
        assert failed.exception.mend


def test_an_archive_may_lie_anywhere_in_a_larger_one(packed: Packed, small: Path, tmp_path: Path) -> None:
    """The mirror of ImageNet that has ``ILSVRC/Data/CLS-LOC`` above both folders."""
    tree = {}
    for path in sorted((small / "imagenet").rglob("*.JPEG")):
        tree[f"ILSVRC/Data/CLS-LOC/{path.relative_to(small / 'imagenet')}"] = path.read_bytes()
    run("imagenet", [tar_of(tmp_path / "all.tar", tree)], tmp_path / "data")
    assert reading("imagenet", tmp_path / "data") == reading("imagenet", small)
