"""Suite x checkpoints x seeds -> jobs with keys and needs. Everything that can be refused is refused here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.base import Benchmark, Resources
from benchmarks.catalogue import Choice, find_benchmark, select
from benchmarks.datasets.fingerprint import fingerprint
from benchmarks.datasets.layout import data_set, missing_files
from harness.checkpoint.apart import take_in_all
from harness.checkpoint.hub import on_hub, short_name
from harness.checkpoint.intake import Intake
from harness.data_root import absolute_root, expanded
from harness.job import Job, PlannedJob
from harness.settings import Settings, parse_overrides
from harness.spread import batch_seen, spread, usable_ranks
from results.errors import HarnessError, did_you_mean
from results.record import BackboneStamp, DataStamp
from results.workspace import Workspace

if TYPE_CHECKING:
    from benchmarks.protocol import Protocol

FEATURE_RESOURCES = Resources(gpus=1, hours=0.5)
"""Feature extraction of ImageNet takes about half an hour on one V100-class GPU."""


@dataclasses.dataclass(frozen=True)
class LabelledCheckpoint:
    """A checkpoint as the user named it.

    Args:
        label: Name of its row.
        checkpoint: What stood after ``--ckpt``.
        intake: What was found in it.
    """

    label: str
    checkpoint: str
    intake: Intake

    def stamp(self) -> BackboneStamp:
        found = self.intake
        return BackboneStamp(found.digest, found.source, found.format, found.encoder, found.input, found.remarks)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that a run needs to know.

    Args:
        checkpoints: One for each ``--ckpt``.
        jobs: Feature extraction before what needs it, else in page order.
        notes: What the user should know: warnings of intake, benchmarks left out.
    """

    checkpoints: tuple[LabelledCheckpoint, ...]
    jobs: tuple[PlannedJob, ...]
    notes: tuple[str, ...]


def make_plan(settings: Settings) -> Plan:
    """Plans a run. Checks names first, then data, then checkpoints: the cheapest refusal comes first.

    Raises:
        HarnessError: Anything wrong with suite, fields, data or checkpoints; nothing was started.
    """
    workspace = usable_workspace(settings)
    choices, protocols = choose(settings)
    data_root = absolute_root(settings.data)
    here = expanded(data_root)
    choices, protocols, notes = _with_data(choices, protocols, here, settings.allow_missing_data)
    names = sorted({choice.benchmark.data for choice in choices})
    stamps = {name: fingerprint(name, here, workspace.cache) for name in names}
    if settings.profile == "full" and not settings.allow_nonstandard_data:
        refuse_nonstandard(stamps)
    notes += _norm_notes(choices, protocols, settings)
    checkpoints = label_checkpoints(settings, workspace)
    jobs: dict[str, PlannedJob] = {}
    for checkpoint in checkpoints:
        notes += [f"{checkpoint.label}: {warning}" for warning in checkpoint.intake.warnings]
        for choice, protocol in zip(choices, protocols, strict=True):
            for seed in range(settings.seeds) if choice.benchmark.random else (None,):
                job = _job(choice.benchmark, protocol, checkpoint, stamps, data_root, seed, settings)
                _add(jobs, choice.benchmark, job)
    ordered = sorted(jobs.values(), key=lambda planned: not planned.job.extracts)
    return Plan(checkpoints, tuple(ordered), tuple(dict.fromkeys(notes)))


def choose(settings: Settings) -> tuple[tuple[Choice, ...], list[Protocol]]:
    """What is to be measured, and by which protocols.

    Raises:
        HarnessError: An unknown name, a field that does not fit, or no checkpoint.
    """
    choices = select(settings.suite)
    protocols = _protocols(choices, settings)
    if not settings.ckpt:
        raise HarnessError(
            "no checkpoint was given", "--ckpt", "add --ckpt PATH (or --ckpt random:0 for an untrained baseline)"
        )
    return choices, protocols


def usable_workspace(settings: Settings) -> Workspace:
    """The workspace of the settings.

    Raises:
        HarnessError: submitit would take part of its path for something else.
    """
    for code in ("%j", "%t", "%a", "%A"):
        if code in str(settings.workspace.absolute()):
            raise HarnessError(
                f"the workspace's path holds {code}, for which submitit puts the number of a job",
                "--workspace",
                "give the folder another name",
            )
    return Workspace(settings.workspace)


def _job(
    benchmark: Benchmark,
    protocol: Protocol,
    checkpoint: LabelledCheckpoint,
    stamps: Mapping[str, DataStamp],
    data_root: Path,
    seed: int | None,
    settings: Settings,
) -> Job:
    request = benchmark.feature_request(protocol)
    return Job(
        benchmark=benchmark.name,
        protocol=protocol,
        request=request,
        backbone=checkpoint.stamp(),
        data=stamps[benchmark.data],
        data_root=data_root,
        seed=seed,
        numerics=settings.numerics.numerics(folds=request is not None),
        batch=batch_seen(benchmark.batch(protocol), spread(protocol, usable_ranks(settings), settings.largest_batch)),
    )


def _norm_notes(choices: Sequence[Choice], protocols: Sequence[Protocol], settings: Settings) -> list[str]:
    """Says where a trained BatchNorm sees fewer images than in the protocol."""
    notes = []
    for choice, protocol in zip(choices, protocols, strict=True):
        whole = choice.benchmark.batch(protocol)
        world = spread(protocol, usable_ranks(settings), settings.largest_batch)
        seen = batch_seen(whole, world)
        if seen != whole:
            notes.append(
                f"{protocol.name}: a batch of {whole.effective} is computed in {world.parts} parts, so its BatchNorm "
                f"sees {seen.batch_norm} images and not {whole.batch_norm}; its number stands in a table of its own"
            )
    return notes


def _add(jobs: dict[str, PlannedJob], benchmark: Benchmark, job: Job) -> None:
    """Adds a job with the extraction that it needs; a key that is there already is the same job."""
    needs: tuple[str, ...] = ()
    extraction = job.feature_job()
    if extraction is not None:
        needs = (extraction.key,)
        planned = PlannedJob(extraction, hours=FEATURE_RESOURCES.hours, gpus=FEATURE_RESOURCES.gpus)
        jobs.setdefault(extraction.key, planned)
    if job.protocol is None:
        raise ValueError("a benchmark's job has a protocol")
    resources = benchmark.resources(job.protocol)
    planned = PlannedJob(job, benchmark.columns(job.protocol), resources.hours, resources.gpus, needs)
    jobs.setdefault(job.key, planned)


def _protocols(choices: Sequence[Choice], settings: Settings) -> list[Protocol]:
    overrides = parse_overrides(settings.set)
    chosen = [choice.benchmark.name for choice in choices]
    for name in overrides:
        find_benchmark(name, "--set")
        if name not in chosen:
            raise HarnessError(
                f"--set names the benchmark '{name}', which the suite '{settings.suite}' does not hold",
                "--set",
                did_you_mean(name, chosen),
            )
    protocols = []
    for choice in choices:
        benchmark = choice.benchmark
        protocol = benchmark.protocol(choice.variant, settings.profile, overrides.get(benchmark.name))
        benchmark.check(protocol)
        protocols.append(protocol)
    return protocols


def _with_data(
    choices: Sequence[Choice], protocols: Sequence[Protocol], root: Path, allow_missing: bool
) -> tuple[tuple[Choice, ...], list[Protocol], list[str]]:
    """Keeps the benchmarks whose data is there, or refuses."""
    missing = {}
    for name in dict.fromkeys(choice.benchmark.data for choice in choices):
        files = missing_files(name, root)
        if files:
            missing[name] = files
    if not missing:
        return tuple(choices), list(protocols), []
    lines = [
        f"{data_set(name).title} ({name}) lacks {', '.join(files[:5])}" + (" and more" if len(files) > 5 else "")
        for name, files in missing.items()
    ]
    kept = [index for index, choice in enumerate(choices) if choice.benchmark.data not in missing]
    if not allow_missing or not kept:
        raise HarnessError(
            "data is missing: " + "; ".join(lines),
            str(root),
            f"python -m harness data check --data {root} shows what must lie where; python -m harness data sample "
            "--data data/sample makes a small sample; --allow-missing-data leaves these benchmarks out",
        )
    notes = [f"left out for want of data: {line}" for line in lines]
    return tuple(choices[index] for index in kept), [protocols[index] for index in kept], notes


def refuse_nonstandard(stamps: Mapping[str, DataStamp]) -> None:
    """Refuses data of other counts than the official ones.

    Raises:
        HarnessError: A data set has such counts.
    """
    sentences = [sentence.rstrip(".") for stamp in stamps.values() for sentence in stamp.nonstandard]
    if sentences:
        raise HarnessError(
            "the data is not the official one: " + "; ".join(sentences[:6]),
            "--data",
            "give the official data, or add --allow-nonstandard-data (recorded with every number) or --profile smoke",
        )


def label_checkpoints(settings: Settings, workspace: Workspace) -> tuple[LabelledCheckpoint, ...]:
    """Takes every checkpoint in and gives each its label.

    A label is what ``--label`` says, else the file's name without its ending; where two files of different backbones
    bear one name, the folder's name goes before it.

    Raises:
        HarnessError: A checkpoint is refused, the labels do not match the checkpoints, or two labels are equal.
    """
    if settings.label and len(settings.label) != len(settings.ckpt):
        raise HarnessError(
            f"{len(settings.label)} labels for {len(settings.ckpt)} checkpoints", "--label", "give one for each --ckpt"
        )
    intakes = take_in_all(settings.ckpt, workspace, settings.input, settings.encoder, settings.trust)
    labels = list(settings.label) or _default_labels(settings.ckpt)
    seen: dict[str, Intake] = {}
    result = []
    for label, checkpoint, intake in zip(labels, settings.ckpt, intakes, strict=True):
        if not label.strip():
            raise HarnessError("a label is empty", "--label", "give every checkpoint a name that can be read")
        if label in seen and seen[label].digest != intake.digest:
            raise HarnessError(
                f"two different backbones have the label '{label}'", "--label", "give each --ckpt its own --label"
            )
        if label not in seen:
            result.append(LabelledCheckpoint(label, checkpoint, intake))
        seen[label] = intake
    return tuple(result)


def _default_labels(checkpoints: Sequence[str]) -> list[str]:
    def stem(checkpoint: str) -> str:
        if on_hub(checkpoint):
            return short_name(checkpoint)
        return checkpoint if checkpoint.startswith("random:") else Path(checkpoint).stem or checkpoint

    stems = [stem(checkpoint) for checkpoint in checkpoints]
    return [
        f"{Path(checkpoint).absolute().parent.name}/{name}" if stems.count(name) > 1 and name != checkpoint else name
        for name, checkpoint in zip(stems, checkpoints, strict=True)
    ]


def run_entry(planned: PlannedJob) -> dict[str, Any]:
    """What a run's file says of one benchmark job, enough to show its blank cells when it has no result."""
    job, backbone = planned.job, planned.job.required_backbone()
    return {
        "benchmark": job.benchmark,
        "key": job.key,
        "backbone": backbone.digest,
        "input": backbone.input,
        "seed": job.seed,
        "protocol": dataclasses.asdict(job.stamp()),
        "data": dataclasses.asdict(job.data),
        "numerics": job.recorded_numerics(),
        "display": [dataclasses.asdict(column) for column in planned.columns],
    }
