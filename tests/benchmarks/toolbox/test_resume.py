from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.base import JobContext
from benchmarks.classification.imagenet_mhead import ImagenetMhead
from benchmarks.toolbox.config import training_loader, use_hooks
from benchmarks.toolbox.frozen import evaluation_pixels, frozen_config
from benchmarks.toolbox.modules import KeepEvaluations, SeedIteration
from benchmarks.toolbox.resume import ORIGIN, last_whole_checkpoint
from benchmarks.toolbox.runner import HarnessRunner, train
from results.errors import HarnessError

FIELDS: dict[str, Any] = {"epochs": 3, "milestones": (2,), "evaluation_interval": 2, "layers": ("feature1", "feature5")}


class Terminated(BaseException):
    """Like the exception that SIGTERM becomes: nothing may swallow it."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, tiny_at: Any) -> Any:
    made = tiny_at(tmp_path_factory.mktemp("resume"))
    made.write_images(train=4, val=4)
    return made


def test_an_interrupted_job_ends_with_the_same_numbers(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = ImagenetMhead()
    uninterrupted = small.job(**FIELDS)
    whole = benchmark.run(uninterrupted)

    def stop_in_third(self: Any, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        before(self, runner, batch_idx, data_batch)
        if runner.epoch == 2:
            raise Terminated

    before = SeedIteration.before_train_iter
    with monkeypatch.context() as patch:
        patch.setattr(SeedIteration, "before_train_iter", stop_in_third)
        first = small.job(**FIELDS)
        with pytest.raises(Terminated):
            benchmark.run(first)
    # The newest checkpoint is cut off, as by a machine that went down: the one before it is taken.
    newest = first.attempt / "toolbox" / "epoch_2.pth"
    newest.write_bytes(newest.read_bytes()[:100_000])

    second = small.job(previous=(first.attempt,), **FIELDS)
    resumed = benchmark.run(second)
    assert resumed.details["resumed_from_epoch"] == 1
    assert whole.details["resumed_from_epoch"] == 0
    assert resumed.metrics == whole.metrics
    assert resumed.curves == whole.curves
    assert whole.curves["epochs"] == [2, 3]
    ends = [torch.load(one.attempt / "toolbox" / "epoch_3.pth", weights_only=True) for one in (uninterrupted, second)]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name


def test_an_evaluation_that_was_cut_off_is_made_up_for(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = ImagenetMhead()

    def stop(self: Any, runner: Any, metrics: Any = None) -> None:
        raise Terminated

    with monkeypatch.context() as patch:
        patch.setattr(KeepEvaluations, "after_val_epoch", stop)
        first = small.job(**{**FIELDS, "epochs": 1})
        with pytest.raises(Terminated):
            benchmark.run(first)
    outcome = benchmark.run(small.job(previous=(first.attempt,), **{**FIELDS, "epochs": 1}))
    assert outcome.details["resumed_from_epoch"] == 1
    assert outcome.curves["epochs"] == [1]


def by_iteration(context: JobContext) -> dict[str, Any]:
    """Seven iterations over endless batches of five of twelve images; evaluated after 3, 6 and 7."""
    protocol, seed = context.protocol, context.required_seed()
    config = frozen_config(context, "imagenet")
    dataset = config["train_dataloader"]["dataset"]["dataset"]
    config["train_dataloader"] = training_loader(dataset, protocol, seed, endless=True, stack=True)
    config["train_cfg"] = {
        "type": "IterBasedTrainLoop",
        "max_iters": 7,
        "val_interval": 3,
        "fast_forward_on_resume": True,
    }
    config["param_scheduler"] = [{"type": "MultiStepLR", "by_epoch": False, "milestones": [4], "gamma": 0.1}]
    use_hooks(config, by_epoch=False, checkpoint_every=2, seed=seed)
    return config


def test_training_by_iteration_goes_on_within_an_epoch(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"layers": ("feature5",), "batch_size": 5, "batch_size_per_rank": 5}
    uninterrupted = small.job(**fields)
    pixels = evaluation_pixels(uninterrupted.protocol)
    whole = train(by_iteration(uninterrupted), uninterrupted, pixels, frozen=True)

    def stop_in_sixth(self: Any, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        before(self, runner, batch_idx, data_batch)
        if runner.iter == 5:
            raise Terminated

    before = SeedIteration.before_train_iter
    with monkeypatch.context() as patch:
        patch.setattr(SeedIteration, "before_train_iter", stop_in_sixth)
        first = small.job(**fields)
        with pytest.raises(Terminated):
            train(by_iteration(first), first, pixels, frozen=True)
    second = small.job(previous=(first.attempt,), **fields)
    resumed = train(by_iteration(second), second, pixels, frozen=True)
    assert (whole.resumed_from, resumed.resumed_from) == (0, 4)
    assert [when for when, _ in whole.evaluations] == [3, 6, 7]
    assert resumed.evaluations == whole.evaluations
    ends = [torch.load(one.attempt / "toolbox" / "iter_7.pth", weights_only=True) for one in (uninterrupted, second)]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name


def checkpoint(attempt: Path, done: int, origin: str | None = "a", unit: str = "epoch") -> Path:
    path = attempt / "toolbox" / f"{unit}_{done}.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {unit: done} if origin is None else {unit: done, ORIGIN: origin}
    torch.save({"meta": meta, "state_dict": {"weight": torch.ones(2)}}, path)
    return path


def test_the_latest_of_the_newest_attempt_is_taken(tmp_path: Path) -> None:
    old, new, empty = tmp_path / "0", tmp_path / "1", tmp_path / "2"
    checkpoint(old, 30)
    checkpoint(new, 9)
    expected = checkpoint(new, 10)
    (new / "toolbox" / ".epoch_11.pth.abc.tmp").write_bytes(b"half")
    (new / "toolbox" / "last_checkpoint").write_text("/elsewhere/epoch_12.pth")
    found = last_whole_checkpoint((old, new, empty), "a")
    assert found is not None
    assert found.path == expected
    assert last_whole_checkpoint((empty,), "a") is None


def test_checkpoints_by_iteration_are_found_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    checkpoint(tmp_path, 9000, unit="iter")
    expected = checkpoint(tmp_path, 10_000, unit="iter")
    for name in ("iter_11000.pth.tmp", "xiter_12000.pth", "iter_.pth", "best_iter_13000.pth"):
        expected.with_name(name).write_bytes(expected.read_bytes())
    found = last_whole_checkpoint((tmp_path,), "a")
    assert found is not None
    assert found.path == expected
    assert found.content["meta"]["iter"] == 10_000


def test_checkpoints_of_other_backbones_are_passed_over(tmp_path: Path) -> None:
    expected = checkpoint(tmp_path, 1)
    checkpoint(tmp_path, 2, "b")
    checkpoint(tmp_path, 3, None)
    found = last_whole_checkpoint((tmp_path,), "a")
    assert found is not None
    assert found.path == expected


class Payload:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("kind", ["empty", "truncated", "text", "pickle", "list", "hostile", "hostile pickle"])
def test_files_that_are_no_checkpoints_are_passed_over(tmp_path: Path, kind: str) -> None:
    expected = checkpoint(tmp_path, 1)
    path = checkpoint(tmp_path, 2)
    trace = tmp_path / "trace"
    hostile = {"meta": {ORIGIN: "a"}, "state_dict": {"x": Payload(trace)}}
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    elif kind == "text":
        path.write_text("not a checkpoint")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"meta": 1}))
    elif kind == "list":
        torch.save([1, 2], path)
    elif kind == "hostile":
        torch.save(hostile, path)
    else:
        path.write_bytes(pickle.dumps(hostile))
    found = last_whole_checkpoint((tmp_path,), "a")
    assert found is not None
    assert found.path == expected
    assert not trace.exists()


def test_a_full_disk_is_explained_and_leaves_no_half_file(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(content: Any, path: str, **_: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmengine.runner.runner.save_checkpoint", full)
    context = small.job(**{**FIELDS, "epochs": 1})
    with pytest.raises(HarnessError, match="no space left"):
        ImagenetMhead().run(context)
    assert not list((context.attempt / "toolbox").glob("*epoch_*"))
    assert HarnessRunner.interrupted is None


def test_a_checkpoint_that_others_may_have_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "toolbox" / "epoch_1.pth"
    path.parent.mkdir()
    torch.save({"meta": {ORIGIN: "a"}, "state_dict": {}}, path)
    path.chmod(0o644)
    assert last_whole_checkpoint([tmp_path], "a") is not None
    path.chmod(0o664)
    with pytest.raises(HarnessError, match=r"others may write epoch_1\.pth") as refused:
        last_whole_checkpoint([tmp_path], "a")
    assert f"chmod go-w {path}" in refused.value.mend
