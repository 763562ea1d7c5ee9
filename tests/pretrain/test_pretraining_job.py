"""A whole job in this process: claim, training, checkpoint, record; interrupted and resumed."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.toolbox.modules.losses import KeepLosses
from harness.checkpoint.intake import examine
from harness.completeness import is_complete, job_folder
from harness.interruption import Interrupted
from harness.job import Job
from harness.status import all_statuses, find_job
from pretrain.simclr import SimCLR
from results.files import file_sha256
from results.record import Record
from results.table import collect
from tests.pretrain.conftest import Studio


def finished(studio: Studio, **changes: Any) -> tuple[Job, Path, Record]:
    job = studio.plan(**changes)
    folder = studio.place(job)
    assert studio.run(folder) == "done", folder.last_outcome()
    product = folder.product()
    assert product is not None
    return job, product, Record.read(folder.result)


def test_a_job_publishes_a_checkpoint_that_intake_reads(studio: Studio) -> None:
    job, product, record = finished(studio)
    sha = file_sha256(product)
    assert re.fullmatch(rf"{re.escape(SimCLR.name)}_[0-9]{{8}}-{sha[:8]}\.pth", product.name)
    assert record.details["checkpoint"] == {"file": product.name, "sha256": sha, "bytes": product.stat().st_size}
    facts, _ = examine(str(product))
    made = record.backbone
    assert (facts.digest, facts.format, facts.encoder, facts.input) == (
        made.digest,
        made.format,
        made.encoder,
        made.input,
    )
    assert record.backbone.source == facts.source == product.name
    assert (record.key, record.seed) == (job.key, 0)
    assert record.metrics["loss"].unit == "nats"
    assert record.metrics["loss"].value == record.curves["loss"][-1]
    assert record.curves["epochs"] == [1, 2]
    assert all(math.isfinite(loss) for loss in record.curves["loss"])
    content = torch.load(product, weights_only=True)
    assert {name.partition(".")[0] for name in content["state_dict"]} == {"backbone", "neck"}
    assert str(studio.folder) not in json.dumps(content["meta"])
    assert content["meta"]["protocol"] == job.protocol.hash if job.protocol else False

    # What else looks at a workspace: the job is seen by those that watch, and not by those that report.
    assert [(each.job, each.state) for each in all_statuses(studio.workspace)] == [(job.name, "done")]
    assert find_job(studio.workspace, "simclr").path == product.parent
    assert collect(studio.workspace).empty
    assert studio.run(job_folder(studio.workspace, job)) == "not needed"

    # Without its file, or with a cut one, the job is not complete; it goes on from the last epoch to the same weights.
    product.write_bytes(product.read_bytes()[:-1])
    assert not is_complete(studio.workspace, job)
    product.unlink()
    assert not is_complete(studio.workspace, job)
    folder = job_folder(studio.workspace, job)
    folder.supersede(resumable=True)
    assert studio.run(folder) == "done"
    again = Record.read(folder.result)
    assert again.details["resumed_from_epoch"] == 2
    assert (again.backbone.digest, again.curves) == (record.backbone.digest, record.curves)
    assert is_complete(studio.workspace, job)


def test_an_interrupted_job_goes_on_to_the_same_weights(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole, expected = finished(studio)
    other = Studio(studio.folder / "other", studio.data)
    folder = other.place(other.plan())
    take = KeepLosses.after_train_iter

    def stop(self: Any, runner: Any, batch_idx: int, **rest: Any) -> None:
        if (runner.epoch, batch_idx) == (1, 1):
            raise Interrupted
        take(self, runner, batch_idx, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(KeepLosses, "after_train_iter", stop)
        assert other.run(folder) == "interrupted"
    assert not folder.is_finished()
    assert not list(folder.path.glob("*.pth"))
    assert other.run(folder) == "done"
    record = Record.read(folder.result)
    assert record.details["resumed_from_epoch"] == 1
    assert record.curves == expected.curves
    product = folder.product()
    assert product is not None
    states = [torch.load(path, weights_only=True)["state_dict"] for path in (whole, product)]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_a_loss_that_is_not_finite_ends_the_job(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(self: Any, runner: Any, batch_idx: int, **_: Any) -> None:
        self._losses.append(torch.tensor(math.nan))

    monkeypatch.setattr(KeepLosses, "after_train_iter", diverge)
    folder = studio.place(studio.plan())
    assert studio.run(folder) == "failed"
    outcome = folder.last_outcome()
    assert outcome is not None
    assert outcome.reason == "the loss is nan in epoch 1: the training diverged"
    assert not folder.is_finished()


def test_a_broken_image_is_named(studio: Studio) -> None:
    data = studio.folder / "broken"
    shutil.copytree(studio.data, data)
    broken = next((data / "imagenet" / "train").rglob("*.JPEG"))
    broken.write_bytes(b"no image")
    other = Studio(studio.folder, data)
    folder = other.place(other.plan())
    assert other.run(folder) == "failed"
    log = folder.log()
    assert log is not None
    assert str(broken) in log.read_text()


def test_the_key_is_made_of_config_protocol_data_seed_and_numerics(studio: Studio, tmp_path: Path) -> None:
    job = studio.plan()
    assert job.identity().keys() == {"config", "protocol", "data", "seed", "numerics", "profile"}
    assert studio.plan(settings={"profile": "full", "allow_nonstandard_data": True}, workers=0, ranks=1).identity(
    ).keys() == {"config", "protocol", "data", "seed", "numerics"}  # fmt: skip
    moved = tmp_path / "moved"
    shutil.copytree(studio.data, moved)
    assert studio.plan(settings={"data": moved}).key == job.key
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job
    others = [
        studio.plan(seed=1),
        studio.plan(temperature=0.2),
        studio.plan(settings={"numerics": {"precision": "bf16"}}),
    ]
    assert len({each.key for each in (job, *others)}) == 4
    assert job.name.startswith(f"{SimCLR.name}-")
