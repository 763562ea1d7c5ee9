"""Building, proving, training and evaluating with mmengine's Runner."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import math
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    # The toolboxes warn of and print which optional packages are absent; none of them is used here.
    warnings.simplefilter("ignore")
    import torch
    from mmengine.config import Config
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.model import revert_sync_batchnorm
    from mmengine.registry import DefaultScope
    from mmengine.runner import Runner
    from mmengine.visualization import Visualizer

    from benchmarks.toolbox.modules import SeededBatches
    from benchmarks.toolbox.modules.hooks import SESSION, by_iteration, evaluations, unshared
    from benchmarks.toolbox.parts import in_parts
    from benchmarks.toolbox.proof import load_backbone, prove_frozen, prove_loaded, prove_pipeline
    from benchmarks.toolbox.ranks import shared

from benchmarks.backbone import read_backbone
from benchmarks.base import JobContext, TrainingContext
from benchmarks.proof import Pixels
from benchmarks.toolbox.resume import ORIGIN, WORK_FOLDER, Interrupted, last_whole_checkpoint
from results.files import explain_os_error, temporary_name

LOGGER = logging.getLogger("benchmarks.toolbox")


@dataclasses.dataclass(frozen=True)
class Training:
    """What came out of training.

    Args:
        evaluations: (epochs or iterations trained, metrics) of every evaluation, oldest first.
        resumed_from: Epochs or iterations that earlier attempts had trained; 0 where this one trained all.
    """

    evaluations: tuple[tuple[int, Mapping[str, float]], ...]
    resumed_from: int

    def last(self, expected: int) -> Mapping[str, float]:
        """Metrics of the last evaluation.

        Args:
            expected: When it must have been made: the number is never an earlier one's.
        """
        when, metrics = self.evaluations[-1]
        if when != expected:
            raise RuntimeError(f"the last evaluation is of {when}, not of {expected}")
        return metrics


class ToAttemptLog(logging.Handler):
    """Hands what mmengine logs to this package's logger, which writes into the attempt's log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hands one record on, if it is more than a toolbox's talk of what it builds."""
        if record.levelno >= logging.INFO:
            LOGGER.handle(record)


class HarnessRunner(Runner):
    """A Runner of mmengine on the job's device, with checkpoints that are whole and read safely."""

    interrupted: Interrupted | None = None

    def wrap_model(self, model_wrapper_cfg: Any, model: Any) -> Any:
        """Moves the model to the job's device, which mmengine would choose by itself, and applies its numerics.

        It is shared with other ranks only when it is loaded and proven (:func:`train`).
        """
        model = model.to(self.cfg[SESSION]["device"])
        if not self.distributed:
            model = revert_sync_batchnorm(model)
        network = self.cfg.get("network", {})
        if network.get("channels_last"):
            model = model.to(memory_format=torch.channels_last)
        if network.get("compile"):
            model.backbone.compile()
        return model

    def build_logger(self, log_level: Any = "INFO", log_file: str | None = None, **options: Any) -> Any:
        """Logs into ``train.log`` of the work folder and to the log of the attempt, and not to the terminal."""
        logger = super().build_logger(log_level, str(Path(self.work_dir) / "train.log"), **options)
        for handler in list(logger.handlers):
            if not isinstance(handler, logging.FileHandler):
                logger.removeHandler(handler)
        logger.addHandler(ToAttemptLog())
        return logger

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """The wrapper counts parts of batches where the loop counts batches."""
        wrapper = super().build_optim_wrapper(optim_wrapper)
        parts = self.cfg[SESSION]["parts"]
        count = wrapper.initialize_count_status
        wrapper.initialize_count_status = lambda model, begin, end: count(model, begin * parts, end * parts)
        return wrapper

    def load_or_resume(self) -> None:
        """Goes on from the checkpoint that was found; a config's ``load_from`` is never followed."""
        if self.interrupted is not None and not self._has_loaded:
            self.resume(str(self.interrupted.path), map_location="cpu")

    def load_checkpoint(self, filename: str, *args: Any, **options: Any) -> Any:
        """Loads what :func:`last_whole_checkpoint` has read; mmengine's own loader would unpickle anything."""
        if self.interrupted is None or filename != str(self.interrupted.path):
            raise RuntimeError(f"only checkpoints of earlier attempts of the same job are loaded, not {filename}")
        self.call_hook("after_load_checkpoint", checkpoint=self.interrupted.content)
        batches = self.train_dataloader.batch_sampler
        if by_iteration(self) and isinstance(batches, SeededBatches):
            # The sampler begins where the checkpoint ended; mmengine would read the batches before and throw them away.
            batches.skip = self.interrupted.content["meta"]["iter"]
            self.train_loop.fast_forward_on_resume = True
        unshared(self.model).load_state_dict(self.interrupted.content["state_dict"], strict=True)
        return self.interrupted.content

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **options: Any) -> None:
        """Writes a checkpoint under another name first, so that one that is there is whole. Rank 0 does so.

        Raises:
            HarnessError: Disk full, not writable.
        """
        if self.rank != 0:
            return
        target = Path(out_dir) / filename
        temporary = temporary_name(target)
        options["meta"] = {**(options.get("meta") or {}), ORIGIN: self.cfg[SESSION]["origin"]}
        try:
            super().save_checkpoint(out_dir, temporary.name, *args, **options)
            temporary.replace(target)
        except OSError as error:
            raise explain_os_error(error, target) from error
        finally:
            temporary.unlink(missing_ok=True)


def train(
    config: Mapping[str, Any], context: JobContext, pixels: Pixels, *, frozen: bool, dilated: bool = False
) -> Training:
    """Trains a model on the job's backbone, with the proof before and, where the backbone is frozen, after.

    Args:
        config: The built config.
        context: The job.
        pixels: The test pipeline, for the proof's own forward.
        frozen: Whether training must leave the backbone as it is.
        dilated: Whether the network's layer3 and layer4 are dilated.

    Raises:
        HarnessError: A proof failed, an image or a list is broken, the disk is full.
    """
    tensors = read_backbone(context.backbone, context.digest)
    with session(config, context, context.digest) as runner:
        # Here and not when training begins: mmengine would then initialise over what was loaded.
        runner.model.init_weights()
        load_backbone(runner, tensors)
        prove_loaded(runner, tensors)
        prove_pipeline(runner, tensors, context, pixels, dilated)
        resumed_from = go_on_from(runner, context.previous, context.digest)
        train_shared(runner, context)
        if frozen:
            prove_frozen(runner, tensors)
        return Training(tuple((when, dict(metrics)) for when, metrics in evaluations(runner)), resumed_from)


def train_shared(runner: HarnessRunner, context: TrainingContext) -> None:
    """Trains, with the gradients of all ranks and in the parts of the job's world; the model is as before afterwards.

    Args:
        runner: Its model is loaded.
        context: The job.
    """
    model = runner.model
    if context.world.ranks > 1:
        runner.model = shared(model, context.device)
    if context.world.parts > 1:
        runner.model.train_step = in_parts(runner.model.train_step, context.world.parts)
    runner.train()
    runner.model = model


def go_on_from(runner: HarnessRunner, attempts: Sequence[Path], origin: str) -> int:
    """Makes a runner go on from the last whole checkpoint of earlier attempts.

    Args:
        runner: The runner, before it trains.
        attempts: Folders of earlier attempts, oldest first.
        origin: What a checkpoint must have been trained from.

    Returns:
        Epochs or iterations that earlier attempts had trained; 0 where there is no checkpoint.
    """
    runner.interrupted = last_whole_checkpoint(attempts, origin)
    if runner.interrupted is None:
        return 0
    meta = runner.interrupted.content["meta"]
    return int(meta["iter"] if by_iteration(runner) else meta["epoch"])


@contextlib.contextmanager
def session(config: Mapping[str, Any], context: TrainingContext, origin: str) -> Iterator[HarnessRunner]:
    """A runner for one job, after which mmengine's global state is as it was.

    Args:
        config: The built config.
        context: The job.
        origin: What is trained from, for checkpoints: the digest of the backbone.

    mmengine keeps loggers, hubs, visualizers and scopes for ever under a name made of the second in which they were
    built; a second runner in the same process would meet them.
    """
    # mmengine writes the config into every checkpoint and would format it anew for a second or two each time.
    built = Config(_plain(config), format_python_code=False)
    built._cfg_dict["work_dir"] = str(context.attempt / WORK_FOLDER)
    built._cfg_dict["experiment_name"] = f"{context.protocol.name}-{uuid.uuid4().hex[:12]}"
    built._cfg_dict[SESSION] = {"device": context.device, "origin": origin, "parts": context.world.parts}
    _use_world(built._cfg_dict, context)
    managers = (MMLogger, MessageHub, Visualizer, DefaultScope)
    before = [set(manager._instance_dict) for manager in managers]
    threads = torch.get_num_threads()
    torch.set_num_threads(context.threads)
    try:
        yield HarnessRunner.from_cfg(built)
    finally:
        torch.set_num_threads(threads)
        for manager, known in zip(managers, before, strict=True):
            for name in set(manager._instance_dict) - known:
                instance = manager._instance_dict.pop(name)
                for handler in getattr(instance, "handlers", ()):
                    handler.close()


def _use_world(config: Any, context: TrainingContext) -> None:
    """Gives this process its share of every batch. No part of the built config: ranks do not change the number."""
    world, protocol = context.world, context.protocol
    config["launcher"] = "none" if world.ranks == 1 else "pytorch"
    multiple = math.lcm(protocol["ranks"], world.ranks * world.parts)
    config["train_dataloader"]["batch_sampler"].update(rank=world.rank, ranks=world.ranks, multiple=multiple)
    config["optim_wrapper"]["accumulative_counts"] = world.parts
    evaluators = config.get("val_evaluator") or []
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        # Results are gathered through the group; by default mmengine writes them into a folder of the current one.
        evaluator["collect_device"] = "gpu"


def _plain(value: Any) -> Any:
    """A deep copy: mmengine edits configs while it builds."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return type(value)(_plain(item) for item in value) if isinstance(value, (list, tuple)) else value
