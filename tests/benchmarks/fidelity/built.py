"""Builds what a benchmark's full protocol builds, and trains through its schedule without a network."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import ParamSchedulerHook
from mmengine.runner import ValLoop
from PIL import Image

from benchmarks.base import JobContext, Numerics
from benchmarks.catalogue import find_benchmark
from benchmarks.datasets.official import VOC_CLASSES
from benchmarks.datasets.sample.cityscapes import write_cityscapes
from benchmarks.datasets.sample.classification import write_imagenet, write_inaturalist2018, write_places205
from benchmarks.datasets.sample.coco import write_coco
from benchmarks.datasets.sample.tree import Tree
from benchmarks.datasets.sample.voc import write_voc2007, write_voc2012
from benchmarks.input_convention import input_convention
from benchmarks.toolbox import frozen
from benchmarks.toolbox.runner import session
from results.record import DataStamp

STEPPED = 5
"""So many steps of the built optimiser are taken in :func:`train_through`; after that only its rates are read."""


@dataclasses.dataclass
class Built:
    """What a job of the full protocol is built of.

    Args:
        name: Of the benchmark.
        root: Data root with a few images.
        config: The config that was built.
        runner: mmengine's runner, its parts built as its ``train`` builds them.
    """

    name: str
    root: Path
    config: dict[str, Any]
    runner: Any

    @property
    def model(self) -> Any:
        """The network, as the training loop leaves it in training mode."""
        return self.runner.model.train()

    @property
    def optimizer(self) -> Any:
        """torch's optimiser."""
        return self.runner.optim_wrapper.optimizer

    @property
    def train_loader(self) -> Any:
        """Loader of training images."""
        return self.runner.train_loop.dataloader

    @property
    def val_loader(self) -> Any:
        """Loader of test images."""
        return self.runner.val_loop.dataloader

    @property
    def evaluator(self) -> Any:
        """What the test predictions are given to."""
        return self.runner.val_loop.evaluator


@dataclasses.dataclass
class Trace:
    """What happened in a training.

    Args:
        rates: Learning rate of each iteration, the first at place 0.
        evaluated: Iterations that were trained before each evaluation.
        steps: Steps that the optimiser took in the first iterations, one entry an iteration.
    """

    rates: list[float] = dataclasses.field(default_factory=list)
    evaluated: list[int] = dataclasses.field(default_factory=list)
    steps: list[int] = dataclasses.field(default_factory=list)


def write_data(root: Path) -> None:
    """A few images of every data set in its official layout."""
    tree = Tree(root)
    write_imagenet(tree, train=10, val=10)
    write_places205(tree, train=10, val=10)
    write_inaturalist2018(tree, train=10, val=10)
    write_voc2007(tree, trainval=4, test=3)
    write_voc2012(tree, train=3, aug=3, val=2)
    write_coco(tree, train=5, val=4)
    write_cityscapes(tree, train=3, val=2)
    for folder in ("imagenet", "Places205", "iNaturalist2018"):
        _stretch(root / folder)
    for path in sorted((root / "VOCdevkit/VOC2007/Annotations").glob("*.xml")):
        path.write_text(path.read_text().replace("<difficult>0</difficult>", "<difficult>1</difficult>", 1))


def _stretch(folder: Path) -> None:
    """Makes the sample's square images wide and high ones with noise, so that every resize and crop shows."""
    random = np.random.default_rng(0)
    images = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpeg", ".jpg"))
    for number, path in enumerate(images):
        size = ((411, 300), (293, 407), (333, 280))[number % 3]
        pixels = np.array(Image.open(path).convert("RGB").resize(size))
        noisy = np.clip(pixels + random.normal(0, 25, pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(path, "JPEG", quality=95)


def context_of(name: str, root: Path, attempt: Path, classes: int) -> JobContext:
    """A job of the full protocol, or of a variant of it; nothing of it reads the backbone."""
    base, _, variant = name.partition("@")
    benchmark = find_benchmark(base)
    return JobContext(
        protocol=benchmark.protocol(variant or None),
        backbone=attempt / "backbone.safetensors",
        digest="0" * 64,
        input=input_convention("rgb-mean-std"),
        data_root=root,
        data=DataStamp(benchmark.data, "0" * 64, {"classes": classes}),
        seed=0,
        numerics=Numerics(),
        attempt=attempt,
        features=None,
        previous=(),
        threads=1,
        device="cpu",
    )


@contextlib.contextmanager
def built(name: str, root: Path, attempt: Path, classes: int = 10) -> Iterator[Built]:
    """Builds a benchmark on a toolbox: network, optimiser, schedulers, loaders, evaluator.

    Args:
        name: Of the benchmark, with ``@variant`` where it is one.
        root: Data root.
        attempt: Folder for its files.
        classes: Outputs of the classifiers, where the data has too few images for all.
    """
    benchmark: Any = find_benchmark(name.partition("@")[0])
    context = context_of(name, root, attempt, classes)
    if benchmark.group == "classification":
        config = frozen.frozen_config(context, benchmark.data)
    elif benchmark.group == "detection":
        # Not before mmcv's operations are there, which come with the modules of the toolbox.
        from mmdet.datasets import CocoDataset

        # All classes, and not only those that the few images show.
        config = benchmark.config(context, VOC_CLASSES if name.startswith("voc") else CocoDataset.METAINFO["classes"])
    else:
        config = benchmark.config(context)
    with session(config, context, context.digest) as runner:
        # In the order of mmengine's Runner.train.
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
        runner._val_loop = runner.build_val_loop(runner._val_loop)
        yield Built(name, root, dict(config), runner)


class _Recorder(torch.nn.Module):
    """Stands in for the network: notes the learning rate, and lets the built optimiser step a few times."""

    def __init__(self, trace: Trace, smallest: torch.nn.Parameter) -> None:
        super().__init__()
        self.trace = trace
        self.smallest = [smallest]

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Any]:
        """One iteration."""
        rates = {group["lr"] for group in optim_wrapper.optimizer.param_groups}
        (rate,) = rates
        self.trace.rates.append(rate)
        if len(self.trace.rates) <= STEPPED:
            before = self.smallest[0].detach().clone()
            # The gradient is 1: a step cannot leave the parameter where it was.
            optim_wrapper.update_params(self.smallest[0].sum())
            self.trace.steps.append(int(not torch.equal(before, self.smallest[0])))
        return {}


class _Counting(ValLoop):
    """Stands in for the evaluation: notes when it is made."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def run(self) -> dict[str, float]:  # type: ignore[override]
        """One evaluation."""
        self.trace.evaluated.append(len(self.trace.rates))
        return {}


def train_through(built: Built, batches: int = 1) -> Trace:
    """Runs the built training loop over the whole schedule, with the built optimiser and schedulers.

    Network, images and evaluation are replaced, and of the hooks the one that steps the schedulers is kept.

    Args:
        built: What was built; its loop is used up.
        batches: Batches of an epoch, where training goes by epochs.
    """
    runner, trace = built.runner, Trace()
    loop, network, evaluation, hooks = runner.train_loop, runner.model, runner._val_loop, runner._hooks
    trained = (value for value in network.parameters() if value.requires_grad)
    smallest = min(trained, key=lambda value: value.numel())
    runner.model, runner._val_loop = _Recorder(trace, smallest), _Counting(trace)
    runner._hooks = [hook for hook in hooks if isinstance(hook, ParamSchedulerHook)]
    loader, loop.dataloader = loop.dataloader, [None] * batches
    loop.dataloader_iterator = itertools.repeat(None)
    try:
        loop.run()
    finally:
        runner.model, runner._val_loop, runner._hooks, loop.dataloader = network, evaluation, hooks, loader
    return trace
