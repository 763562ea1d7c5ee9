"""Detectors and segmentors train, go on after an interruption with the same weights, and name broken images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner import ValLoop

from benchmarks.catalogue import find_benchmark
from benchmarks.toolbox.modules import RefuseUnreadable
from results.errors import HarnessError
from tests.benchmarks.dense.conftest import Dense, benchmark_of

SHORT: dict[str, dict[str, Any]] = {
    "voc0712_faster_rcnn": {
        "iterations": 3,
        "milestones": [2],
        "evaluation_interval": 3,
        "checkpoint_interval": 1,
        "roi_samples": 8,
        "test_proposals": 5,
    },
    "voc0712_faster_rcnn@moco": {
        "iterations": 3,
        "milestones": [2],
        "evaluation_interval": 3,
        "checkpoint_interval": 1,
    },
    "coco_mask_rcnn": {"roi_samples": 8, "test_proposals": 5},
    "voc12aug_fcn": {"iterations": 3, "evaluation_interval": 3, "checkpoint_interval": 1},
    "cityscapes_fcn": {"iterations": 3, "evaluation_interval": 3, "checkpoint_interval": 1},
}


class Terminated(BaseException):
    """Like the exception that SIGTERM becomes: nothing may swallow it."""


def last_weights(attempt: Path) -> dict[str, torch.Tensor]:
    newest = max((attempt / "toolbox").glob("*_*.pth"), key=lambda path: int(path.stem.rpartition("_")[2]))
    return dict(torch.load(newest, weights_only=True)["state_dict"])


@pytest.mark.parametrize("name", list(SHORT))
def test_an_interrupted_job_ends_with_the_same_weights(
    dense: Dense, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fields = SHORT[name]
    uninterrupted = dense.job(name, **fields)
    benchmark = benchmark_of(uninterrupted)
    whole = benchmark.run(uninterrupted)
    before = RefuseUnreadable.before_train_iter

    def stop(self: Any, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        before(self, runner, batch_idx, data_batch)
        # In the last step of those that end in a checkpoint: mid-epoch where training goes by epochs.
        if runner.iter == (3 if name == "coco_mask_rcnn" else 2):
            raise Terminated

    with monkeypatch.context() as patch:
        patch.setattr(RefuseUnreadable, "before_train_iter", stop)
        first = dense.job(name, **fields)
        with pytest.raises(Terminated):
            benchmark.run(first)
    if name != "coco_mask_rcnn":
        # The newest checkpoint is cut off, as by a machine that went down: the one before it is taken.
        newest = first.attempt / "toolbox" / "iter_2.pth"
        newest.write_bytes(newest.read_bytes()[:100_000])
    second = dense.job(name, previous=(first.attempt,), **fields)
    resumed = benchmark.run(second)
    unit = "epoch" if name == "coco_mask_rcnn" else "iteration"
    assert resumed.details[f"resumed_from_{unit}"] == 1
    assert whole.details[f"resumed_from_{unit}"] == 0
    assert resumed.metrics == whole.metrics
    ends = [last_weights(each.attempt) for each in (uninterrupted, second)]
    for key, value in ends[0].items():
        assert torch.equal(value, ends[1][key]), key


def test_an_evaluation_that_is_made_up_for_has_the_statistics_of_the_one_that_was_cut_off(
    dense: Dense, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PreciseBN between the last checkpoint and the evaluation."""
    name, fields = "voc0712_faster_rcnn@moco", {**SHORT["voc0712_faster_rcnn@moco"], "workers": 1}
    found: list[dict[str, torch.Tensor]] = []
    evaluate = ValLoop.run

    def note(self: Any) -> Any:
        result = evaluate(self)
        found.append({key: value.clone() for key, value in self.runner.model.state_dict().items()})
        return result

    def stop(self: Any) -> Any:
        raise Terminated

    monkeypatch.setattr(ValLoop, "run", note)
    whole = dense.job(name, **fields)
    expected = benchmark_of(whole).run(whole)
    with monkeypatch.context() as patch:
        patch.setattr(ValLoop, "run", stop)
        first = dense.job(name, **fields)
        with pytest.raises(Terminated):
            benchmark_of(first).run(first)
    second = dense.job(name, previous=(first.attempt,), **{**fields, "workers": 0})
    resumed = benchmark_of(second).run(second)
    assert resumed.details["resumed_from_iteration"] == 3
    assert resumed.metrics == expected.metrics
    assert len(found) == 2
    # What training left is in the checkpoint.
    trained = last_weights(whole.attempt)
    moved = 0
    for key, value in found[0].items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(value, found[1][key]), key
        if key.endswith(("running_mean", "running_var")):
            moved += int(not torch.equal(value, trained[key]))
        elif not key.endswith("num_batches_tracked"):
            assert torch.equal(value, trained[key]), key
    assert moved == 2 * (43 + 11)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_named(dense: Dense, tmp_path: Path, workers: int) -> None:
    root = tmp_path / "data"
    shutil.copytree(dense.root, root)
    broken = root / "VOCdevkit/VOC2012/JPEGImages/2008_000001.jpg"
    broken.write_bytes(broken.read_bytes()[:50])
    changed = Dense(root, tmp_path)
    with pytest.raises(HarnessError, match="cannot be read") as caught:
        find_benchmark("voc12aug_fcn").run(changed.job("voc12aug_fcn", **SHORT["voc12aug_fcn"], workers=workers))
    assert Path(caught.value.where) == broken


def test_categories_that_disagree_are_refused(dense: Dense, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(dense.root, root)
    path = root / "coco/annotations/instances_train2017.json"
    path.write_text(path.read_text().replace('"bicycle"', '"unicycle"'))
    context = Dense(root, tmp_path).job("coco_mask_rcnn")
    with pytest.raises(HarnessError, match="different categories"):
        find_benchmark("coco_mask_rcnn").run(context)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("voc0712_faster_rcnn", "iterations", 0),
        ("voc0712_faster_rcnn", "batch_size", 3),
        ("coco_mask_rcnn", "norm", "GN"),
        ("voc0712_faster_rcnn", "difficult_in_training", "negative"),
        ("voc0712_faster_rcnn", "shifted_corners", ["xmin"]),
        ("voc0712_faster_rcnn@moco", "precise_bn_iterations", 0),
        ("voc0712_faster_rcnn@moco", "ious", [0.5]),
        ("voc0712_faster_rcnn@1x", "input_convention", "bgr"),
        ("voc12aug_fcn", "test_mode", "flip"),
        ("cityscapes_fcn", "slide_stride", 900),
    ],
)
def test_impossible_fields_are_refused_when_planned(name: str, field: str, value: Any) -> None:
    base, _, variant = name.partition("@")
    benchmark = find_benchmark(base)
    with pytest.raises(HarnessError) as caught:
        benchmark.check(benchmark.protocol(variant or None, overrides={field: value}))
    assert caught.value.where == f"{name}.{field}"
