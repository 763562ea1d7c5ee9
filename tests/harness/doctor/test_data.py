from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.datasets.official import data_set
from harness.doctor import data
from harness.doctor.data import data as look_at
from harness.doctor.findings import look
from tests.harness.conftest import make_tiny_imagenet
from tests.harness.doctor.conftest import MakeSubject


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_tiny_imagenet(tmp_path / "data")
    return tmp_path / "data"


def test_a_root_that_is_not_there_is_an_error_with_the_way_to_a_sample(subject: MakeSubject, tmp_path: Path) -> None:
    found = data.data_root(subject())
    assert (found.state, "data sample" in found.mend) == ("error", True)
    (tmp_path / "data").write_text("")
    assert data.data_root(subject()).state == "error"


def test_a_root_that_is_there_is_named(subject: MakeSubject, root: Path) -> None:
    found = data.data_root(subject())
    assert (found.state, found.what) == ("ok", str(root))


def test_other_counts_than_the_official_ones_matter_for_the_full_profile(subject: MakeSubject, root: Path) -> None:
    small = look_at("imagenet", subject())
    assert small.state == "ok"
    assert small.what == "2 train, 2 val, 2 classes; not the official counts"
    assert look_at("imagenet", subject(profile="full")).state == "error"
    assert look_at("imagenet", subject(profile="full", allow_nonstandard_data=True)).state == "warning"


def test_official_counts_are_well(subject: MakeSubject, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "counts_of", lambda name, root: dict(data_set(name).official))
    found = look_at("imagenet", subject(profile="full"))
    assert (found.state, found.what) == ("ok", "1,281,167 train, 50,000 val, 1,000 classes")


def test_missing_files_are_named_with_what_mends_it(subject: MakeSubject, root: Path) -> None:
    (root / "imagenet/val/n01440764/val_0.JPEG").unlink()
    found = look_at("imagenet", subject())
    assert found.state == "error"
    assert "imagenet/val/n01440764/val_0.JPEG" in found.what
    assert "data prepare imagenet" in found.mend
    assert look_at("imagenet", subject(allow_missing_data=True)).state == "warning"


def test_of_many_missing_files_a_few_are_named(subject: MakeSubject, root: Path) -> None:
    absent = [f"n01440764/absent_{number}.JPEG" for number in range(9)]
    (root / "imagenet/meta/val.txt").write_text("".join(f"{name} 0\n" for name in absent))
    found = look_at("imagenet", subject())
    assert [name in found.what for name in absent] == [True] * data.NAMED + [False] * (9 - data.NAMED)
    assert found.what.endswith("and more")


def test_a_broken_list_is_an_error_with_its_line(subject: MakeSubject, root: Path) -> None:
    (root / "imagenet/meta/val.txt").write_text("no label\n")
    (found,) = look("data imagenet", lambda: look_at("imagenet", subject()))
    assert (found.state, "val.txt" in found.what) == ("error", True)
