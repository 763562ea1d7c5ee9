from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import Batch, Numerics
from benchmarks.protocol import Field, Protocol
from harness.job import FEATURES, Job
from tests.harness.hand_made import REQUEST, make_job

JOB = make_job(request=REQUEST)
FROZEN_KEY = "09da9ee849154112492e0041aa8669a9979a7cce1b67b5d5bd1c1f4d60779ca7"
FROZEN_FEATURE_KEY = "b4a8b2c5cff55459b307aca4b1812dda391ebe8c5d4f0887f18f7ede0483db97"


def changed(**changes: Any) -> Job:
    return dataclasses.replace(JOB, **changes)


def test_the_keys_are_those_that_workspaces_hold() -> None:
    """Where this fails, every finished job of every user runs again: say so to them, then freeze anew."""
    assert JOB.key == FROZEN_KEY
    extraction = JOB.feature_job()
    assert extraction is not None
    assert extraction.key == FROZEN_FEATURE_KEY


def test_the_name_of_the_folder_is_benchmark_and_key() -> None:
    assert JOB.name == f"counting-{JOB.key[:12]}"


@pytest.mark.parametrize(
    "job",
    [
        changed(benchmark="another"),
        changed(protocol=Protocol("counting", 2, JOB.protocol.fields if JOB.protocol else {})),
        changed(protocol=Protocol("counting@other", 1, JOB.protocol.fields if JOB.protocol else {})),
        changed(protocol=Protocol("counting", 1, {"iterations": Field(4, "test"), "seconds": Field(0.0, "test")})),
        changed(backbone=dataclasses.replace(JOB.backbone, digest="e" * 64)),
        changed(backbone=dataclasses.replace(JOB.backbone, input="rgb-unit")),
        changed(data=dataclasses.replace(JOB.data, fingerprint="a" * 64)),
        changed(seed=1),
        changed(seed=None),
        changed(numerics=Numerics(precision="bf16")),
        changed(numerics=Numerics(channels_last=True)),
        changed(numerics=Numerics(compile=True)),
        changed(numerics=Numerics(folded=True)),
        changed(batch=Batch(effective=128, batch_norm=256)),
        changed(batch=Batch(effective=256, batch_norm=32)),
    ],
)
def test_whatever_changes_the_number_changes_the_key(job: Job) -> None:
    assert job.key != JOB.key


@pytest.mark.parametrize(
    "job",
    [
        changed(data_root=Path("/elsewhere")),
        changed(backbone=dataclasses.replace(JOB.backbone, source="renamed.pth", format="mmpretrain", encoder="q")),
        changed(data=dataclasses.replace(JOB.data, counts={}, nonstandard=())),
        changed(
            protocol=Protocol(
                "counting",
                1,
                {
                    name: Field(field.value, "elsewhere")
                    for name, field in (JOB.protocol.fields if JOB.protocol else {}).items()
                },
            )
        ),
    ],
)
def test_where_things_lie_and_what_they_are_called_does_not(job: Job) -> None:
    assert job.key == JOB.key


@pytest.mark.parametrize(
    "job",
    [
        changed(seed=1),
        changed(benchmark="another"),
        changed(batch=Batch()),
        changed(data_root=Path("/elsewhere")),
        changed(protocol=Protocol("another", 7, {"iterations": Field(9, "test")})),
    ],
)
def test_features_are_shared_over_seeds_and_protocols(job: Job) -> None:
    mine, theirs = JOB.feature_job(), job.feature_job()
    assert mine is not None
    assert theirs is not None
    assert mine.key == theirs.key


@pytest.mark.parametrize(
    "job",
    [
        changed(request=dataclasses.replace(REQUEST, layers=("feature4",))),
        changed(request=dataclasses.replace(REQUEST, pooling="global_average")),
        changed(request=dataclasses.replace(REQUEST, splits=("val",))),
        changed(request=dataclasses.replace(REQUEST, pixels=dataclasses.replace(REQUEST.pixels, crop=200))),
        changed(backbone=dataclasses.replace(JOB.backbone, digest="e" * 64)),
        changed(backbone=dataclasses.replace(JOB.backbone, input="bgr-mean")),
        changed(data=dataclasses.replace(JOB.data, fingerprint="a" * 64)),
        changed(numerics=Numerics(precision="amp")),
    ],
)
def test_other_pixels_or_another_backbone_are_other_features(job: Job) -> None:
    mine, theirs = JOB.feature_job(), job.feature_job()
    assert mine is not None
    assert theirs is not None
    assert mine.key != theirs.key


def test_extraction_is_a_job_without_protocol_and_needs_no_features_itself() -> None:
    extraction = JOB.feature_job()
    assert extraction is not None
    assert extraction.extracts
    assert (extraction.benchmark, extraction.protocol, extraction.seed) == (FEATURES, None, None)
    assert extraction.feature_job() is None
    assert make_job().feature_job() is None


def test_a_spec_that_went_through_a_file_gives_the_same_job() -> None:
    extraction = JOB.feature_job()
    assert extraction is not None
    for job in (JOB, extraction, make_job(seed=None), make_job(data_root=Path("/päth/with space\n"))):
        back = Job.from_dict(json.loads(json.dumps(job.to_dict())))
        assert back == job
        assert back.key == job.key == job.to_dict()["key"]


def test_keys_from_before_batch_norms_could_be_folded_are_still_found() -> None:
    assert set(JOB.identity()["numerics"]) == {
        "precision",
        "channels_last",
        "compile",
        "effective_batch",
        "batch_norm_batch",
    }
    folded = changed(numerics=Numerics(folded=True))
    assert folded.identity()["numerics"]["folded"] is True
    for job in (JOB, folded):
        assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job
