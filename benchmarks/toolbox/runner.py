"""Building, proving, training and evaluating with mmengine's Runner."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import uuid
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    # mmcv warns of compiled operations that are absent, mmpretrain prints that a package is; neither is used here.
    warnings.simplefilter("ignore")
    import torch
    from mmengine.config import Config
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.registry import DefaultScope
    from mmengine.runner import Runner
    from mmengine.visualization import Visualizer

    from benchmarks.toolbox.modules import UnreadableImage, collate_readable
    from benchmarks.toolbox.modules.hooks import evaluations

from benchmarks.backbone import FEATURES, read_backbone
from benchmarks.base import JobContext, PixelPipeline
from benchmarks.proof import prove_features, prove_tensors, reference_feature_maps, write_fixed_image
from benchmarks.toolbox.resume import DIGEST, WORK_FOLDER, Interrupted, last_whole_checkpoint
from results.files import explain_os_error, temporary_name

if TYPE_CHECKING:
    from torch import Tensor

LOGGER = logging.getLogger("benchmarks.toolbox")

SESSION = "session"
"""Entry of a config that says how this one process runs it: device and digest of the backbone."""


@dataclasses.dataclass(frozen=True)
class Training:
    """What came out of training.

    Args:
        evaluations: (epochs trained, metrics) of every evaluation, oldest first.
        resumed_from: Epochs that earlier attempts had trained; 0 where this one trained all.
    """

    evaluations: tuple[tuple[int, Mapping[str, float]], ...]
    resumed_from: int


class ToAttemptLog(logging.Handler):
    """Hands what mmengine logs to this package's logger, which writes into the attempt's log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hands one record on."""
        LOGGER.handle(record)


class HarnessRunner(Runner):
    """A Runner of mmengine on the job's device, with checkpoints that are whole and read safely."""

    interrupted: Interrupted | None = None

    def wrap_model(self, model_wrapper_cfg: Any, model: Any) -> Any:
        """Moves the model to the job's device, which mmengine would choose by itself."""
        return super().wrap_model(model_wrapper_cfg, model).to(self.cfg[SESSION]["device"])

    def build_logger(self, log_level: Any = "INFO", log_file: str | None = None, **options: Any) -> Any:
        """Logs into ``train.log`` of the work folder and to the log of the attempt, and not to the terminal."""
        logger = super().build_logger(log_level, str(Path(self.work_dir) / "train.log"), **options)
        for handler in list(logger.handlers):
            if not isinstance(handler, logging.FileHandler):
                logger.removeHandler(handler)
        logger.addHandler(ToAttemptLog())
        return logger

    def load_or_resume(self) -> None:
        """Goes on from the checkpoint that was found; a config's ``load_from`` is never followed."""
        if self.interrupted is not None and not self._has_loaded:
            self.resume(str(self.interrupted.path), map_location="cpu")

    def load_checkpoint(self, filename: str, *args: Any, **options: Any) -> Any:
        """Loads what :func:`last_whole_checkpoint` has read; mmengine's own loader would unpickle anything."""
        if self.interrupted is None or filename != str(self.interrupted.path):
            raise RuntimeError(f"only checkpoints of earlier attempts of the same job are loaded, not {filename}")
        self.call_hook("after_load_checkpoint", checkpoint=self.interrupted.content)
        self.model.load_state_dict(self.interrupted.content["state_dict"], strict=True)
        return self.interrupted.content

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **options: Any) -> None:
        """Writes a checkpoint under another name first, so that one that is there is whole.

        Raises:
            HarnessError: Disk full, not writable.
        """
        target = Path(out_dir) / filename
        temporary = temporary_name(target)
        options["meta"] = {**(options.get("meta") or {}), DIGEST: self.cfg[SESSION]["digest"]}
        try:
            super().save_checkpoint(out_dir, temporary.name, *args, **options)
            temporary.replace(target)
        except OSError as error:
            raise explain_os_error(error, target) from error
        finally:
            temporary.unlink(missing_ok=True)


def train_frozen(config: Mapping[str, Any], context: JobContext, pixels: PixelPipeline) -> Training:
    """Trains on a frozen backbone, with the proof before and after.

    Args:
        config: The built config.
        context: The job.
        pixels: The test pipeline, for the proof's own forward.

    Raises:
        HarnessError: A proof failed, an image or a list is broken, the disk is full.
    """
    tensors = read_backbone(context.backbone, context.digest)
    with session(config, context) as runner:
        load_backbone(runner, tensors)
        prove_loaded(runner, tensors)
        prove_pipeline(runner, tensors, context, pixels)
        runner.interrupted = last_whole_checkpoint(context.previous, context.digest)
        resumed_from = runner.interrupted.content["meta"]["epoch"] if runner.interrupted else 0
        runner.train()
        prove_frozen(runner, tensors)
        return Training(tuple((epoch, dict(metrics)) for epoch, metrics in evaluations(runner)), resumed_from)


@contextlib.contextmanager
def session(config: Mapping[str, Any], context: JobContext) -> Iterator[HarnessRunner]:
    """A runner for one job, after which mmengine's global state is as it was.

    mmengine keeps loggers, hubs, visualizers and scopes for ever under a name made of the second in which they were
    built; a second runner in the same process would meet them.
    """
    # mmengine writes the config into every checkpoint and would format it anew for a second or two each time.
    built = Config(_plain(config), format_python_code=False)
    built._cfg_dict["work_dir"] = str(context.attempt / WORK_FOLDER)
    built._cfg_dict["experiment_name"] = f"{context.protocol.name}-{uuid.uuid4().hex[:12]}"
    built._cfg_dict[SESSION] = {"device": context.device, "digest": context.digest}
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


def _plain(value: Any) -> Any:
    """A deep copy: mmengine edits configs while it builds."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return type(value)(_plain(item) for item in value) if isinstance(value, (list, tuple)) else value


def load_backbone(runner: HarnessRunner, tensors: Mapping[str, Tensor]) -> None:
    """Loads the canonical tensors, all of them and no others; ``num_batches_tracked`` stays as built."""
    backbone = runner.model.backbone
    counters = {name: value for name, value in backbone.state_dict().items() if name.endswith("num_batches_tracked")}
    backbone.load_state_dict({**counters, **tensors}, strict=True)


def prove_loaded(runner: HarnessRunner, tensors: Mapping[str, Tensor]) -> None:
    """First proof: the built model has the checkpoint's tensors.

    Raises:
        HarnessError: It has not.
    """
    prove_tensors(runner.model.backbone.state_dict(), tensors, "before training")


def prove_pipeline(
    runner: HarnessRunner, tensors: Mapping[str, Tensor], context: JobContext, pixels: PixelPipeline
) -> None:
    """Second proof: the fixed image through the runner's own test pipeline and network gives the reference features.

    Raises:
        HarnessError: It does not.
    """
    path = write_fixed_image(context.attempt)
    dataset = runner.val_loop.dataloader.dataset
    sample = dataset.pipeline({"img_path": str(path), "gt_label": 0, "sample_idx": 0})
    if isinstance(sample, UnreadableImage):
        raise sample.error()
    model = runner.model.eval()
    with torch.inference_mode():
        maps = model.extract_feat(model.data_preprocessor(collate_readable([sample]), False)["inputs"])
    expected = reference_feature_maps(tensors, pixels, context.input)
    got = dict(zip(FEATURES, maps, strict=True))
    prove_features(got, expected, context.numerics.precision, "the test pipeline")


def prove_frozen(runner: HarnessRunner, tensors: Mapping[str, Tensor]) -> None:
    """Third proof: training changed nothing in the backbone, running statistics included.

    Raises:
        HarnessError: It did.
    """
    prove_tensors(runner.model.backbone.state_dict(), tensors, "after training")
