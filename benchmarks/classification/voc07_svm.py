"""VOC2007 classification by linear SVMs on frozen features: full and low-shot."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.base import Benchmark, FeatureRequest, JobContext, Outcome, PixelPipeline, Resources
from benchmarks.probes.checks import require_at_least, require_unchanged
from benchmarks.protocol import Field, Protocol, Variant, contradiction
from results.record import Column, MetricValue

if TYPE_CHECKING:
    from benchmarks.probes.svm.data import Labels, SvmData, SvmSettings
    from benchmarks.probes.svm.full import ClassResult
    from benchmarks.probes.svm.low_shot import ShotResult

logger = logging.getLogger(__name__)

_SCRIPTS = "mmselfsup 0.x tools/benchmarks/classification/svm_voc07"
_TOOLS = f"{_SCRIPTS}/tools"
_CONFIG = "mmselfsup 0.x configs/benchmarks/classification/svm_voc07.py"
_TRAIN = f"{_TOOLS}/train_svm_kfold_parallel.py"
_HELPER = f"{_TOOLS}/svm_helper.py"
_SAMPLES = "mmselfsup 0.x tools/data_converters/create_voc_low_shot_challenge_samples.py"

_UNCHANGEABLE = (
    "resize",
    "pooling",
    "penalty",
    "loss",
    "dual",
    "selection",
    "average_precision",
    "difficult_in_training",
    "difficult_in_test",
    "low_shot_selection",
    "classes",
)

SAMPLES_FILE = "low_shot_samples.npz"
"""File of an attempt with the low-shot samples: of each int8 [images, classes], 1 and 0 drawn, -1 not."""

SOLVERS = ("exact", "liblinear")

HOURS_PER_LAYER = {"exact": 0.02, "liblinear": 0.3}
"""Rough, of a few cores. The exact solver was measured at 25 s a layer and a minute for the low-shot fits of one, on
one thread and made-up features; liblinear at 0.5 to 4 s for each of a layer's 1,160 fits and half a core-hour for the
15,200 low-shot ones. Real features converge more slowly with liblinear."""


class Voc07Svm(Benchmark):
    """mAP of one linear SVM a class, for each of five layers; low-shot on the best of them."""

    name = "voc07_svm"
    title = "VOC07 SVM"
    group = "classification"
    data = "voc07_classification"
    version = 2
    random = True
    table: ClassVar[Mapping[str, Field]] = {
        "classes": Field(20, "Everingham et al. 2010, The PASCAL VOC Challenge"),
        "short_edge": Field(256, _CONFIG),
        "squash": Field(224, f"{_CONFIG}: the whole image to 224x224, aspect ratio not kept, no crop"),
        "resize": Field("PIL", f"{_CONFIG}: torchvision transforms on PIL images"),
        "interpolation": Field("bilinear", _CONFIG),
        "layers": Field(
            ("feature1", "feature2", "feature3", "feature4", "feature5"),
            f"{_SCRIPTS}/dist_test_svm_pretrain.sh with FEAT_LIST naming all five; Goyal et al. 2019, arXiv:1905.01235",
        ),
        "pooling": Field("grid", "mmselfsup 0.x mmselfsup/models/utils/multi_pooling.py, 'specified'"),
        "norm_epsilon": Field(1e-5, f"{_HELPER}, normalize_features: x / (||x|| + 1e-5) per row, float64"),
        "solver": Field(
            "exact",
            f"{_TRAIN}: scikit-learn LinearSVC, whose objective is solved to a relative duality gap of 1e-6 at most "
            "(docs/probes.md); liblinear: LinearSVC itself",
        ),
        "penalty": Field("l2", _TRAIN),
        "loss": Field("squared_hinge", _TRAIN),
        "dual": Field(True, _TRAIN),
        "positive_weight": Field(2.0, f"{_TRAIN}: class_weight"),
        "negative_weight": Field(1.0, f"{_TRAIN}: class_weight"),
        "tolerance": Field(1e-4, f"{_TRAIN}: of liblinear"),
        "max_iterations": Field(2000, f"{_TRAIN}: of liblinear"),
        "intercept_scaling": Field(1.0, _TRAIN),
        "costs": Field(
            (1.0, 10.0, 100.0, *(0.5**power for power in range(4, 20))),
            f"{_TOOLS}/eval_svm_full.sh: 1, 10, 100; {_HELPER}, parse_cost_list: then 0.5^4 to 0.5^19",
        ),
        "folds": Field(3, f"{_TRAIN}: cross_val_score, cv=3, stratified, not shuffled"),
        "selection": Field(
            "best mean cross-validated AP of each class, first of equals",
            f"{_TRAIN}: scoring average_precision; {_TOOLS}/test_svm.py",
        ),
        "average_precision": Field("area under the monotone envelope", f"{_HELPER}: get_precision_recall"),
        "difficult_in_training": Field("negative", _TRAIN),
        "difficult_in_test": Field("left out", f"{_TOOLS}/test_svm.py"),
        "low_shot_k": Field((1, 2, 4, 8, 16, 32, 64, 96), _SAMPLES),
        "low_shot_samples": Field(5, _SAMPLES),
        "low_shot_negatives_per_positive": Field(19, _SAMPLES),
        "low_shot_selection": Field(
            "best test mAP averaged over samples, one cost for all classes",
            f"{_TOOLS}/aggregate_low_shot_svm_stats.py",
        ),
    }
    smoke: ClassVar[Mapping[str, Any]] = {
        "short_edge": 64,
        "squash": 56,
        "layers": ("feature4", "feature5"),
        "costs": (1.0, 0.0625, 0.00390625),
        "low_shot_k": (1, 2, 4),
        "low_shot_samples": 2,
    }

    variants: ClassVar[Mapping[str, Variant]] = {
        "vissl": Variant(
            "vissl configs/config/benchmark/linear_image_classification/voc07/"
            "eval_resnet_8gpu_transfer_voc07_svm.yaml: cost list, powers off; "
            "its low-shot features of another resize are not followed",
            {"costs": (0.01, 0.1, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 50.0, 100.0, 1000.0)},
        )
    }

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        return (
            Column("svm", "SVM", 2),
            *(Column(f"lowshot_k{k}", f"k={k}", 2) for k in protocol["low_shot_k"]),
            *(Column(f"svm_{layer}", layer.capitalize(), 2, "SVM per layer") for layer in protocol["layers"]),
        )

    def resources(self, protocol: Protocol) -> Resources:
        # The features are there when the SVMs start, and on a CPU these take seconds.
        hours = HOURS_PER_LAYER.get(protocol["solver"], HOURS_PER_LAYER["liblinear"])
        return Resources(gpus=0, hours=hours * len(protocol["layers"]))

    def feature_request(self, protocol: Protocol) -> FeatureRequest:
        from benchmarks.probes.features import check_request

        self.check(protocol)
        pixels = PixelPipeline(
            protocol["short_edge"], squash=protocol["squash"], interpolation=protocol["interpolation"]
        )
        request = FeatureRequest(self.data, ("trainval", "test"), pixels, protocol["layers"], protocol["pooling"])
        check_request(request)
        return request

    def check(self, protocol: Protocol) -> None:
        require_unchanged(protocol, self.table, _UNCHANGEABLE)
        protocol.require_choices({"solver": SOLVERS})
        idle = [name for name in ("tolerance", "max_iterations") if name in protocol.modified]
        if idle and protocol["solver"] != "liblinear":
            raise contradiction(
                protocol,
                f"{idle[0]} is liblinear's, and the solver is '{protocol['solver']}'",
                idle[0],
                f"leave {idle[0]} out of --set, or add --set voc07_svm.solver=liblinear",
            )
        require_at_least(
            protocol,
            {
                "costs": 0,
                "folds": 2,
                "positive_weight": 0,
                "negative_weight": 0,
                "tolerance": 0,
                "max_iterations": 1,
                "intercept_scaling": 0,
                "norm_epsilon": 0,
                "low_shot_k": 1,
                "low_shot_samples": 1,
                "low_shot_negatives_per_positive": 1,
            },
        )

    def run(self, context: JobContext) -> Outcome:
        from benchmarks.probes.svm.full import full_svm
        from benchmarks.probes.svm.low_shot import low_shot_svm

        protocol = context.protocol
        self.check(protocol)
        settings = _settings(protocol, context.seed, context.device)
        metrics: dict[str, MetricValue] = {}
        layers: dict[str, dict[str, Any]] = {}
        best: tuple[str, float] | None = None
        for layer in protocol["layers"]:
            data = _read(context, layer)
            results = full_svm(data, settings, context.threads)
            value = _mean_ap(data.classes, results)
            metrics[f"svm_{layer}"] = value
            layers[layer] = _layer_details(data.classes, results)
            logger.info("%s: mAP %s", layer, value.value)
            if value.value is not None and (best is None or value.value > best[1]):
                best = layer, value.value
        if best is None:
            missing = MetricValue(None, note="no layer has a value: " + metrics[f"svm_{protocol['layers'][0]}"].note)
            metrics["svm"] = missing
            metrics.update({f"lowshot_k{k}": missing for k in protocol["low_shot_k"]})
            return Outcome(metrics, {"best_layer": None, "layers": layers})
        metrics["svm"] = metrics[f"svm_{best[0]}"]
        data = _read(context, best[0])
        shots = low_shot_svm(
            data,
            settings,
            protocol["low_shot_k"],
            protocol["low_shot_samples"],
            protocol["low_shot_negatives_per_positive"],
            context.threads,
        )
        metrics.update({f"lowshot_k{k}": _shot_metric(result) for k, result in shots.items()})
        _store_samples(context, data.train_labels, [k for k, result in shots.items() if result.samples])
        details = {f"k{k}": _shot_details(result) for k, result in shots.items()}
        return Outcome(metrics, {"best_layer": best[0], "layers": layers, "low_shot": details})


def _settings(protocol: Protocol, seed: int | None, device: str) -> SvmSettings:
    from benchmarks.probes.svm.data import SvmSettings

    return SvmSettings(
        costs=protocol["costs"],
        folds=protocol["folds"],
        positive_weight=protocol["positive_weight"],
        negative_weight=protocol["negative_weight"],
        tol=protocol["tolerance"],
        max_iter=protocol["max_iterations"],
        intercept_scaling=protocol["intercept_scaling"],
        seed=0 if seed is None else seed,
        solver=protocol["solver"],
        device=device,
    )


def _read(context: JobContext, layer: str) -> SvmData:
    """Normalised features of one layer with the labels of both splits."""
    from benchmarks.probes.labelled import labelled_features
    from benchmarks.probes.svm.data import SvmData, normalise_rows

    train, train_split = labelled_features(context, Voc07Svm.data, "trainval", layer)
    test, test_split = labelled_features(context, Voc07Svm.data, "test", layer)
    epsilon = context.protocol["norm_epsilon"]
    return SvmData(
        normalise_rows(train, epsilon),
        train_split.labels.astype("int8"),
        normalise_rows(test, epsilon),
        test_split.labels.astype("int8"),
        train_split.classes,
    )


def _store_samples(context: JobContext, labels: Labels, shots: Sequence[int]) -> None:
    """Writes the targets of every low-shot sample into the attempt, named as the reference names its files."""
    import numpy as np

    from benchmarks.probes.svm.low_shot import low_shot_targets
    from results.files import write_whole

    protocol, seed = context.protocol, 0 if context.seed is None else context.seed
    negatives = protocol["low_shot_negatives_per_positive"]
    targets = {
        f"train_targets_sample{sample + 1}_k{k}": low_shot_targets(labels, k, sample, negatives, seed)
        for k in shots
        for sample in range(protocol["low_shot_samples"])
    }
    # mypy takes the names for numpy's own switches.
    write_whole(context.attempt / SAMPLES_FILE, lambda stream: np.savez_compressed(stream, **targets))  # type: ignore[arg-type]


def _mean_ap(classes: tuple[str, ...], results: list[ClassResult]) -> MetricValue:
    """Mean over the classes that have an AP, in percent; the note names the others and counts skipped folds."""
    from benchmarks.probes.svm.data import shortened

    left_out = [f"{name} ({result.reason})" for name, result in zip(classes, results, strict=True) if result.ap is None]
    evaluated = [(name, result) for name, result in zip(classes, results, strict=True) if result.ap is not None]
    skipped = [name for name, result in evaluated if result.skipped_folds]
    aps = [result.ap for result in results if result.ap is not None]
    notes = []
    if left_out:
        notes.append(f"mean over {len(aps)} of {len(classes)} classes, without {shortened(left_out)}")
    if skipped:
        notes.append(f"cross-validation folds without positives or negatives skipped for {shortened(skipped)}")
    if not aps:
        return MetricValue(None, note=f"no class can be evaluated: {shortened(left_out)}")
    return MetricValue(100.0 * sum(aps) / len(aps), note="; ".join(notes))


def _layer_details(classes: tuple[str, ...], results: list[ClassResult]) -> dict[str, Any]:
    named = dict(zip(classes, results, strict=True))
    return {
        "ap": {name: None if result.ap is None else 100.0 * result.ap for name, result in named.items()},
        "costs": {name: result.cost for name, result in named.items()},
        "left_out": {name: result.reason for name, result in named.items() if result.reason},
        "skipped_folds": {name: result.skipped_folds for name, result in named.items() if result.skipped_folds},
        **_certainty(sum(result.unconverged for result in results), [result.gap for result in results]),
    }


def _certainty(unconverged: int, gaps: Sequence[float | None]) -> dict[str, Any]:
    """How sure the fits are: the exact solver proves a gap, liblinear counts where it stopped early."""
    known = [gap for gap in gaps if gap is not None]
    return {"largest_relative_gap": max(known)} if known else {"unconverged_fits": unconverged}


def _shot_metric(result: ShotResult) -> MetricValue:
    """Mean over the samples, in percent."""
    from benchmarks.probes.svm.data import shortened

    if not result.samples:
        return MetricValue(None, note=result.reason)
    note = f"mean without {shortened(result.left_out)}: no positive in the test split" if result.left_out else ""
    return MetricValue(100.0 * sum(result.samples) / len(result.samples), note=note)


def _shot_details(result: ShotResult) -> dict[str, Any]:
    """Chosen cost and spread over the samples; the deviation is that of the samples themselves (divisor n)."""
    import statistics

    percent = [100.0 * value for value in result.samples]
    if not percent:
        return {"cost": None, "reason": result.reason}
    return {
        "cost": result.cost,
        "samples": percent,
        "min": min(percent),
        "max": max(percent),
        "std": statistics.pstdev(percent),
        "left_out": list(result.left_out),
        **_certainty(result.unconverged, [result.gap]),
    }
