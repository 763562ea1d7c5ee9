"""Builds small workspaces by hand: records, runs and attempts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from results.record import BackboneStamp, Column, DataStamp, MetricValue, ProtocolStamp, Record, sha256_of
from results.workspace import Workspace

LAYERS = [f"feature{layer}" for layer in range(1, 6)]
SHOTS = (1, 2, 4, 8, 16, 32, 64, 96)
NEIGHBOURS = (10, 20, 100, 200)

DISPLAY = {
    "imagenet_mhead": (
        *(Column(layer, layer.capitalize(), 2) for layer in LAYERS),
        *(Column(f"{layer}_top5", f"{layer.capitalize()} top-5", 2, "hidden") for layer in LAYERS),
    ),
    "voc07_svm": (
        *(Column(f"svm_{layer}", layer.capitalize(), 2, "SVM per layer") for layer in LAYERS),
        Column("svm", "SVM", 2),
        *(Column(f"lowshot_k{k}", f"k={k}", 2) for k in SHOTS),
    ),
    "imagenet_knn": (
        *(Column(f"knn_k{k}", f"k={k}", 1) for k in NEIGHBOURS),
        *(Column(f"knn_k{k}_top5", f"k={k} top-5", 1, "hidden") for k in NEIGHBOURS),
    ),
}
DATA = {
    "imagenet_mhead": DataStamp("imagenet", "a" * 64, {"train": 1281167, "val": 50000, "classes": 1000}),
    "imagenet_knn": DataStamp("imagenet", "a" * 64, {"train": 1281167, "val": 50000, "classes": 1000}),
    "voc07_svm": DataStamp("voc07", "b" * 64, {"trainval": 5011, "test": 4952, "classes": 20}),
}


def digest(name: str) -> str:
    """A digest that stands for a backbone."""
    return sha256_of(["backbone", name])


class Builder:
    """Writes jobs and runs into one workspace."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)
        self.runs = 0

    def make(
        self,
        benchmark: str = "imagenet_knn",
        backbone: str = "simclr",
        values: Mapping[str, float | str] | None = None,
        *,
        seed: int | None = None,
        salt: str = "",
        **changes: Any,
    ) -> Record:
        """A record. Metrics without a given value get one that depends on everything; a text is a reason."""
        display = DISPLAY.get(benchmark, (Column("score", "Score", 2),))
        modified = tuple(changes.pop("modified", ()))
        profile = changes.pop("profile", "full")
        name = changes.pop("protocol", benchmark)
        hash_ = sha256_of([name, profile, modified, salt])
        stamp = BackboneStamp(digest(backbone), f"{backbone}.pth", "mmselfsup", "backbone", "rgb-mean-std")
        key = sha256_of([benchmark, backbone, seed, hash_, repr(sorted(changes.items()))])
        metrics = {}
        for column in display:
            value = (values or {}).get(column.metric, int(sha256_of([key, column.metric])[:12], 16) / 16**12 * 100)
            note = value if isinstance(value, str) else ""
            metrics[column.metric] = MetricValue(None if isinstance(value, str) else value, note=note)
        record = Record(
            key=key,
            benchmark=benchmark,
            protocol=ProtocolStamp(name, 1, hash_, modified, profile),
            backbone=stamp,
            data=DATA.get(benchmark, DataStamp("other", "c" * 64, {"train": 10})),
            seed=seed,
            numerics={"precision": "fp32", "channels_last": False},
            metrics=metrics,
            details={"best_layer": "feature5"} if benchmark == "voc07_svm" else {},
            display=display,
            curves={},
            started="2026-01-02T03:04:05+00:00",
            finished="2026-01-02T03:05:05+00:00",
            seconds=60.0,
            device="cpu",
            versions={"torch": "2.14.0", "numpy": "2.2.6"},
            config_digest="",
            git="0123456",
            attempt="001-x",
        )
        return dataclasses.replace(record, **changes)

    def finish(self, *args: Any, **changes: Any) -> Record:
        """Makes a record and publishes it as the job's result."""
        record = self.make(*args, **changes)
        folder = self.workspace.job(record.benchmark, record.key)
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(record.to_json())
        return record

    def attempt(self, record: Record, sequence: int, outcome: Mapping[str, Any] | None) -> Path:
        """An attempt of a job, with its outcome or without."""
        folder = self.workspace.job(record.benchmark, record.key) / "attempts" / f"{sequence}-0f0f"
        folder.mkdir(parents=True)
        if outcome is not None:
            text = json.dumps({"reason": "", "finished": "2026-01-02T03:05:05+00:00", **outcome})
            (folder / "outcome.json").write_text(text)
        return folder

    def run(
        self,
        labels: Mapping[str, str],
        jobs: Sequence[Record] = (),
        created: str | None = None,
        input: str = "rgb-mean-std",
        remarks: Sequence[str] = (),
    ) -> Path:
        """A run that gives labels to backbones; ``jobs`` are the records that its jobs have or would have."""
        self.runs += 1
        path = self.workspace.runs / f"run{self.runs:03d}.json"
        checkpoints = [
            {
                "label": label,
                "path": f"/home/somebody/checkpoints/{backbone}.pth",
                "digest": digest(backbone),
                "encoder": "backbone",
                "input": input,
                "source": f"{backbone}.pth",
                "format": "mmselfsup",
                "remarks": list(remarks),
            }
            for label, backbone in labels.items()
        ]
        planned = [
            {
                "benchmark": job.benchmark,
                "key": job.key,
                "backbone": job.backbone.digest,
                "input": job.backbone.input,
                "seed": job.seed,
                "protocol": dataclasses.asdict(job.protocol),
                "data": dataclasses.asdict(job.data),
                "display": [dataclasses.asdict(column) for column in job.display],
            }
            for job in jobs
        ]
        raw = {
            "id": path.stem,
            "argv": ["run", "--ckpt", "/home/somebody/checkpoints/x.pth"],
            "created": created or f"2026-01-{self.runs:02d}T00:00:00+00:00",
            "settings_digest": "e" * 64,
            "checkpoints": checkpoints,
            "jobs": planned,
            "submissions": [],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(raw))
        return path


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    """An empty workspace and what fills it."""
    return Builder(tmp_path / "work dirs")
