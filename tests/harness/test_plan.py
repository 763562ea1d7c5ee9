"""Plans made of real checkpoint files, real lists and the real catalogue; nothing is run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.plan import Plan, _default_labels, run_entry
from results.errors import HarnessError
from tests.harness.hand_made import inside, plan_in
from tests.harness.world import World


@pytest.fixture
def here(world: World) -> Iterator[World]:
    with inside(world):
        yield world


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``base.pth``, and ``changed.pth`` in which one weight is the next larger float."""
    import torch

    from benchmarks.backbone import random_backbone

    folder = tmp_path_factory.mktemp("checkpoints")
    tensors = random_backbone(1)
    torch.save(tensors, folder / "base.pth")
    weights = tensors["layer3.2.conv2.weight"]
    weights[5, 4, 1, 1] = torch.nextafter(weights[5, 4, 1, 1], torch.tensor(float("inf")))
    torch.save(tensors, folder / "changed.pth")
    return folder


@pytest.fixture(scope="session")
def taken_in(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that knows all checkpoints, so that each is read once in this session."""
    from harness.checkpoint.intake import take_in
    from results.workspace import Workspace

    workspace = Workspace(tmp_path_factory.mktemp("taken_in"))
    for checkpoint in (str(checkpoints / "base.pth"), str(checkpoints / "changed.pth"), "random:0", "random:1"):
        take_in(checkpoint, workspace)
    return workspace.root


def keys(plan: Plan) -> list[str]:
    return [planned.job.key for planned in plan.jobs]


def jobs(plan: Plan) -> list[str]:
    return [planned.job.benchmark for planned in plan.jobs]


EVERYTHING = "counting,imagenet_mhead,imagenet_knn"


def test_one_changed_weight_is_another_backbone_for_every_job(here: World, checkpoints: Path, taken_in: Path) -> None:
    base = plan_in(here, ckpt=(str(checkpoints / "base.pth"),), workspace=taken_in, suite=EVERYTHING)
    changed = plan_in(here, ckpt=(str(checkpoints / "changed.pth"),), workspace=taken_in, suite=EVERYTHING)
    assert jobs(base) == jobs(changed) == ["features", "imagenet_mhead", "imagenet_knn", "counting"]
    assert not {planned.job.backbone.digest for planned in base.jobs} & {
        planned.job.backbone.digest for planned in changed.jobs
    }
    assert not set(keys(base)) & set(keys(changed))


def test_a_renamed_file_and_another_place_are_the_same_jobs(
    here: World, checkpoints: Path, taken_in: Path, tmp_path: Path
) -> None:
    before = plan_in(here, ckpt=(str(checkpoints / "base.pth"),), workspace=taken_in, suite=EVERYTHING)
    shutil.copytree(here.data, tmp_path / "moved data")
    shutil.copy(checkpoints / "base.pth", tmp_path / "renamed.bin")
    after = plan_in(
        here,
        ckpt=(str(tmp_path / "renamed.bin"),),
        workspace=tmp_path / "fresh workspace",
        data=tmp_path / "moved data",
        suite=EVERYTHING,
    )
    assert keys(after) == keys(before)
    assert after.jobs[0].job.data_root == tmp_path / "moved data"


def test_every_choice_that_changes_a_number_changes_its_key(here: World, taken_in: Path) -> None:
    base = keys(plan_in(here, suite=EVERYTHING))
    for changes in (
        {"input": "rgb-unit"},
        {"numerics": {"precision": "bf16"}},
        {"numerics": {"channels_last": True}},
        {"ckpt": ("random:1",)},
    ):
        other = keys(plan_in(here, suite=EVERYTHING, workspace=taken_in, **changes))
        assert len(other) == len(base)
        assert not set(base) & set(other), changes


def test_a_replaced_field_changes_its_own_benchmark_only(here: World) -> None:
    base = plan_in(here, suite="counting,another")
    other = plan_in(here, suite="counting,another", set=("counting.iterations=2",))
    assert [planned.job.stamp().modified for planned in other.jobs] == [(), ("iterations",)]
    assert keys(base)[0] == keys(other)[0]
    assert keys(base)[1] != keys(other)[1]


def test_another_line_in_a_list_is_other_data(here: World) -> None:
    base = plan_in(here)
    path = here.data / "imagenet" / "meta" / "train.txt"
    path.write_text("\n".join(reversed(path.read_text().split("\n"))).strip() + "\n")
    other = plan_in(here)
    assert other.jobs[0].job.data.counts == base.jobs[0].job.data.counts
    assert keys(other) != keys(base)


def test_a_relative_data_root_is_kept_absolute(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here.data.parent)
    plan = plan_in(here, data=Path("data"))
    assert plan.jobs[0].job.data_root == here.data
    assert keys(plan) == keys(plan_in(here))


def test_two_labels_of_one_backbone_are_one_job(here: World) -> None:
    plan = plan_in(here, ckpt=("random:0", "random:0"), label=("first", "second"), suite=EVERYTHING)
    assert [checkpoint.label for checkpoint in plan.checkpoints] == ["first", "second"]
    assert keys(plan) == keys(plan_in(here, suite=EVERYTHING))


def test_seeds_share_features_and_benchmarks_without_randomness_run_once(here: World) -> None:
    plan = plan_in(here, suite=EVERYTHING, seeds=3)
    assert jobs(plan) == ["features"] + ["imagenet_mhead"] * 3 + ["imagenet_knn"] + ["counting"] * 3
    assert [planned.job.seed for planned in plan.jobs] == [None, 0, 1, 2, None, 0, 1, 2]


def test_features_come_before_what_needs_them(here: World, taken_in: Path) -> None:
    plan = plan_in(here, workspace=taken_in, ckpt=("random:0", "random:1"), suite=EVERYTHING, seeds=2)
    seen: set[str] = set()
    needing = 0
    for planned in plan.jobs:
        assert set(planned.needs) <= seen, planned.job.name
        needing += bool(planned.needs)
        seen.add(planned.job.key)
    assert needing == 2
    assert len(seen) == len(plan.jobs)


def test_a_run_file_can_show_a_job_without_its_benchmark(here: World) -> None:
    entry = run_entry(plan_in(here).jobs[0])
    assert [column["metric"] for column in entry["display"]] == ["count"]
    assert entry["protocol"]["profile"] == "smoke"


# Labels --------------------------------------------------------------------------------------------------------------


def labels(plan: Plan) -> list[str]:
    return [checkpoint.label for checkpoint in plan.checkpoints]


def test_the_label_is_the_name_of_the_file(here: World, checkpoints: Path, taken_in: Path) -> None:
    paths = tuple(str(checkpoints / name) for name in ("base.pth", "changed.pth"))
    assert labels(plan_in(here, ckpt=(*paths, "random:0"), workspace=taken_in)) == ["base", "changed", "random:0"]


def test_one_name_in_two_folders_takes_the_folder_before_it(here: World, checkpoints: Path, tmp_path: Path) -> None:
    paths = []
    for run, name in (("moco", "base.pth"), ("simclr", "changed.pth")):
        path = tmp_path / run / "latest.pth"
        path.parent.mkdir()
        shutil.copy(checkpoints / name, path)
        paths.append(str(path))
    plan = plan_in(here, ckpt=tuple(paths))
    assert labels(plan) == ["moco/latest", "simclr/latest"]
    assert len(plan.jobs) == 2


def test_the_same_file_twice_is_one_row(here: World) -> None:
    assert labels(plan_in(here, ckpt=("random:0", "random:0"))) == ["random:0"]


def test_labels_that_cannot_be_told_apart_are_refused(here: World, taken_in: Path) -> None:
    with pytest.raises(HarnessError, match="two different backbones have the label 'x'"):
        plan_in(here, workspace=taken_in, ckpt=("random:0", "random:1"), label=("x", "x"))
    with pytest.raises(HarnessError, match="a label is empty"):
        plan_in(here, label=("  ",))
    with pytest.raises(HarnessError, match="2 labels for 1 checkpoints"):
        plan_in(here, label=("a", "b"))


def test_default_labels_of_strange_names() -> None:
    assert _default_labels(["a/x.pth", "b/x.tar", "c/y.pth.tar"]) == ["a/x", "b/x", "y.pth"]
    assert _default_labels(["random:0", "random:1"]) == ["random:0", "random:1"]
    assert _default_labels(["/data/.hidden"]) == [".hidden"]


# Refusals ------------------------------------------------------------------------------------------------------------


def test_a_plan_is_refused_before_a_checkpoint_is_read(here: World) -> None:
    for changes, said in (
        ({"suite": "countin"}, "did you mean 'counting'"),
        ({"set": ("counting.iteration=1",)}, "did you mean 'iterations'"),
        ({"data": here.folder / "nowhere"}, "data is missing"),
        ({"profile": "full"}, "not the official one"),
    ):
        with pytest.raises(HarnessError, match=said):
            plan_in(here, ckpt=("no/such/file.pth",), **changes)
    with pytest.raises(HarnessError, match=r"no/such/file\.pth"):
        plan_in(here, ckpt=("no/such/file.pth",))


def test_benchmarks_without_data_are_left_out_only_where_asked(here: World) -> None:
    with pytest.raises(HarnessError, match="voc07_classification"):
        plan_in(here, suite="counting,voc07_svm")
    plan = plan_in(here, suite="counting,voc07_svm", allow_missing_data=True)
    assert jobs(plan) == ["counting"]
    assert "left out" in plan.notes[0]
    with pytest.raises(HarnessError, match="data is missing"):
        plan_in(here, suite="voc07_svm", allow_missing_data=True)


def test_nonstandard_data_is_recorded_where_it_is_allowed(here: World) -> None:
    plan = plan_in(here, profile="full", allow_nonstandard_data=True)
    assert len(plan.jobs[0].job.data.nonstandard) == 3
