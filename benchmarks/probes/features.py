"""Features of frozen backbones: images in, rows of float32 out, with the proof that they are the checkpoint's."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import proof
from benchmarks.backbone import FEATURES, build_backbone, feature_maps, read_backbone
from benchmarks.base import FeatureRequest, Numerics
from benchmarks.datasets.layout import read_split
from benchmarks.input_convention import InputConvention
from benchmarks.pooling import grid_pool
from benchmarks.probes.feature_store import (
    ROWS_PER_SHARD,
    SCHEMA,
    FeatureFolder,
    LayerWriter,
    finished_shards,
    is_complete,
    load,
)
from benchmarks.probes.images import INTERPOLATIONS, image_batches
from benchmarks.probes.parallel import log_progress, torch_threads
from results.errors import HarnessError, did_you_mean

if TYPE_CHECKING:
    import torch

__all__ = ["POOLINGS", "check_request", "extract", "is_complete", "load"]

POOLINGS = ("grid", "global_average")

WORK = "features"
"""Folder of an attempt in which its features are made."""

BATCH = {"cpu": 16, "cuda": 128}
"""Images in a forward pass; the features do not depend on it beyond rounding."""

MOST_WORKERS = 16
"""Decoding processes beside a GPU; more than this many wait for it."""

logger = logging.getLogger(__name__)


def check_request(request: FeatureRequest) -> None:
    """Checks what a user may have replaced with ``--set``.

    Raises:
        HarnessError: An unknown layer or pooling, no layer, or pixels that do not give all images one size.
    """
    pixels = request.pixels
    for layer in request.layers:
        if layer not in FEATURES:
            raise HarnessError(f"unknown layer '{layer}'", "layers", did_you_mean(layer, FEATURES))
    if not request.layers or len(set(request.layers)) < len(request.layers):
        raise HarnessError("each layer once, and at least one", "layers", did_you_mean("", FEATURES))
    if request.pooling not in POOLINGS:
        raise HarnessError(f"unknown pooling '{request.pooling}'", "pooling", did_you_mean(request.pooling, POOLINGS))
    if pixels.interpolation not in INTERPOLATIONS:
        mend = did_you_mean(pixels.interpolation, INTERPOLATIONS)
        raise HarnessError(f"unknown interpolation '{pixels.interpolation}'", "interpolation", mend)
    sides = [side for side in (pixels.short_edge, pixels.squash, pixels.crop) if side is not None]
    whole = pixels.squash or pixels.short_edge
    if len(sides) < 2 or min(sides) < 32 or (pixels.crop or 0) > whole:
        raise HarnessError(
            f"images of short edge {pixels.short_edge}, squash {pixels.squash}, crop {pixels.crop} are not possible",
            "short_edge, squash, crop",
            "give at least 32 pixels each, and a crop that lies inside the image",
        )


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A built backbone with everything between an image file and its features.

    Args:
        model: torchvision's ResNet-50 on its device.
        forward: The five feature maps of a batch; by ``model``, or its folded or compiled form.
        request: Which pixels, layers and pooling.
        convention: Input convention.
        numerics: Precision and memory format.
        device: ``cpu`` or ``cuda``.
        workers: Decoding processes.
    """

    model: torch.nn.Module
    forward: Callable[[torch.Tensor], Mapping[str, torch.Tensor]]
    request: FeatureRequest
    convention: InputConvention
    numerics: Numerics
    device: str
    workers: int

    def features(self, paths: Sequence[Path]) -> Iterator[dict[str, torch.Tensor]]:
        """Features of image files, batch by batch in their order; the proof's image takes the same way.

        Yields:
            Float32 [n, dimension] on the CPU for each layer.

        Raises:
            HarnessError: An image cannot be read, or gives features that are not finite.
        """
        import torch

        batch = BATCH[self.device]
        pin = self.device == "cuda"
        start = 0
        for pixels in image_batches(paths, self.request.pixels, batch, self.workers, pin):
            with torch.inference_mode():
                maps = self._maps(pixels.to(self.device, non_blocking=True), batch)
                pooled = {layer: self._pool(layer, maps[layer]).cpu() for layer in self.request.layers}
            self._check_finite(pooled, paths[start : start + len(pixels)])
            start += len(pixels)
            yield pooled

    def _maps(self, pixels: torch.Tensor, batch: int) -> dict[str, torch.Tensor]:
        """Feature maps, float32, of uint8 RGB [n, height, width, 3]."""
        import torch

        count = len(pixels)
        if self.numerics.compile and count < batch:
            # A batch of another size would be compiled anew.
            pixels = torch.cat([pixels, pixels[-1:].expand(batch - count, -1, -1, -1)])
        images = network_input(pixels, self.convention)
        if self.numerics.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        half = torch.float16 if self.numerics.precision == "amp" and self.device == "cuda" else torch.bfloat16
        with torch.autocast(self.device, half, enabled=self.numerics.precision != "fp32"):
            maps = self.forward(images)
        return {layer: maps[layer][:count].float() for layer in self.request.layers}

    def _pool(self, layer: str, feature_map: torch.Tensor) -> torch.Tensor:
        return pool(layer, feature_map, self.request.pooling)

    def _check_finite(self, features: Mapping[str, torch.Tensor], paths: Sequence[Path]) -> None:
        for layer, rows in features.items():
            finite = rows.isfinite().all(dim=1)
            if not finite.all():
                raise HarnessError(
                    f"{layer} of an image is not finite",
                    str(paths[int(finite.logical_not().nonzero()[0])]),
                    "run with --numerics precision=fp32; where it is, the checkpoint diverged",
                )


def network_input(pixels: torch.Tensor, convention: InputConvention) -> torch.Tensor:
    """Applies an input convention: uint8 RGB [n, height, width, 3] to float32 [n, 3, height, width]."""
    import torch

    images = pixels.permute(0, 3, 1, 2)
    if convention.channels == "BGR":
        images = images.flip(1)
    mean, std = (
        torch.tensor(values, dtype=torch.float32, device=pixels.device).view(1, 3, 1, 1)
        for values in (convention.mean, convention.std)
    )
    return (images.float() - mean) / std


def pool(layer: str, feature_map: torch.Tensor, pooling: str) -> torch.Tensor:
    """Pools and flattens a feature map: [n, channels, h, w] to [n, dimension]."""
    if pooling == "grid":
        return grid_pool(layer, feature_map).flatten(1)
    return feature_map.mean(dim=(2, 3))


def build_extractor(
    tensors: Mapping[str, torch.Tensor],
    request: FeatureRequest,
    convention: InputConvention,
    numerics: Numerics,
    device: str,
    threads: int,
) -> Extractor:
    """Builds the backbone on its device. On the CPU the network takes all threads and decoding needs none."""
    import torch

    model = build_backbone(tensors).to(device).requires_grad_(False)
    if numerics.channels_last:
        model = model.to(memory_format=torch.channels_last)

    computed = fold_batch_norms(model) if numerics.folded else model

    def forward(images: torch.Tensor) -> dict[str, torch.Tensor]:
        return feature_maps(computed, images)

    chosen = torch.compile(forward) if numerics.compile else forward
    workers = min(max(threads - 1, 0), MOST_WORKERS) if device == "cuda" else 0
    return Extractor(model, chosen, request, convention, numerics, device, workers)


def fold_batch_norms(model: torch.nn.Module) -> torch.nn.Module:
    """A copy of a ResNet in eval mode that multiplies each batch norm into the convolution before it.

    The features are the same up to rounding, some 1e-6 of the largest entry; a fifth of the time on a CPU goes.

    Args:
        model: What :func:`benchmarks.backbone.build_backbone` returns.
    """
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    folded = copy.deepcopy(model)
    for block in list(folded.modules()):
        last: tuple[str, torch.nn.Conv2d] | None = None
        for name, child in list(block.named_children()):
            if isinstance(child, torch.nn.BatchNorm2d) and last is not None:
                setattr(block, last[0], fuse_conv_bn_eval(last[1], child))
                setattr(block, name, torch.nn.Identity())
            # torchvision registers convolutions and batch norms in turn, in blocks as in downsampling.
            last = (name, child) if isinstance(child, torch.nn.Conv2d) else None
    if any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules()):
        raise ValueError("a batch norm does not follow a convolution")
    return folded.requires_grad_(False)


def prove_pixels_to_features(extractor: Extractor, tensors: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Sends the fixed image of the proof, as a file, through the extractor and compares with a plain forward.

    Raises:
        HarnessError: The features differ.
    """
    request = extractor.request
    (got,) = extractor.features([proof.write_fixed_image(folder)])
    reference = proof.reference_feature_maps(tensors, request.pixels, extractor.convention)
    expected = {layer: pool(layer, reference[layer], request.pooling) for layer in request.layers}
    proof.prove_features(got, expected, extractor.numerics.precision, "feature extraction")


def extract(
    request: FeatureRequest,
    *,
    backbone: Path,
    digest: str,
    convention: InputConvention,
    numerics: Numerics,
    data_root: Path,
    out: Path,
    attempt: Path,
    device: str,
    threads: int,
    previous: Sequence[Path] = (),
    rows_per_shard: int = ROWS_PER_SHARD,
) -> Mapping[str, Any]:
    """Extracts the features of a request into a folder, proved before and after.

    The folder is made in the attempt. What an attempt finished before it died, shard by shard, the next one takes over.

    Args:
        request: Data set, splits, pixels, layers, pooling.
        backbone: ``backbone.safetensors``.
        digest: Its digest.
        convention: Input convention of the backbone.
        numerics: Precision, memory format, compilation.
        data_root: The folder given with ``--data``.
        out: Final folder; where it is complete already, it stays as it is.
        attempt: Folder for work files; it exists.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads to use.
        previous: Folders of earlier attempts of the same job, oldest first.
        rows_per_shard: Rows of each shard but the last.

    Returns:
        The manifest.

    Raises:
        HarnessError: A bad request, list, image or backbone; a failed proof; features that are not finite; no space.
    """
    check_request(request)
    tensors = read_backbone(backbone, digest)
    splits = {split: read_split(request.data, data_root, split).paths for split in request.splits}
    with torch_threads(threads), FeatureFolder(out, attempt / WORK) as folder:
        extractor = build_extractor(tensors, request, convention, numerics, device, threads)
        proof.prove_tensors(extractor.model.state_dict(), tensors, "before extraction")
        prove_pixels_to_features(extractor, tensors, attempt)
        manifest = {
            "schema": SCHEMA,
            "request": request.to_dict(),
            "backbone": digest,
            "input": convention.name,
            "numerics": numerics.to_dict(),
            "splits": {
                split: _write_split(
                    extractor, folder.path, split, paths, [one / WORK for one in previous], rows_per_shard
                )
                for split, paths in splits.items()
            },
        }
        proof.prove_tensors(extractor.model.state_dict(), tensors, "after extraction")
        if numerics.folded:
            # The tensors are those of the network that was folded; that the folded one is still its equal shows here.
            prove_pixels_to_features(extractor, tensors, attempt)
        if not folder.publish(manifest):
            logger.info("features were there already: %s", out.name)
    return manifest


def _write_split(
    extractor: Extractor,
    folder: Path,
    split: str,
    paths: Sequence[Path],
    previous: Sequence[Path],
    rows_per_shard: int,
) -> dict[str, Any]:
    """Extracts one split, or what earlier attempts left to do of it; its part of the manifest."""
    if not paths:
        raise HarnessError(f"split {split} of {extractor.request.data} has no images", "", "mend its list")
    writers = {
        layer: LayerWriter(folder, split, layer, len(paths), rows_per_shard) for layer in extractor.request.layers
    }
    done = _take_over(writers, previous, split, len(paths), rows_per_shard)
    batches = -(-(len(paths) - done) // BATCH[extractor.device])
    with contextlib.ExitStack() as stack:
        for writer in writers.values():
            stack.callback(writer.close)
        what = f"{split}: batches of {BATCH[extractor.device]} images"
        for features in log_progress(extractor.features(paths[done:]), batches, what):
            for layer, rows in features.items():
                writers[layer].append(rows.numpy())
    return {"count": len(paths), "layers": {layer: writer.entry() for layer, writer in writers.items()}}


def _take_over(
    writers: Mapping[str, LayerWriter], previous: Sequence[Path], split: str, count: int, rows_per_shard: int
) -> int:
    """Takes over the shards that an earlier attempt finished of all layers, from the latest that has any.

    Returns:
        Rows that need not be extracted any more.
    """
    for earlier in reversed(previous):
        found = {layer: finished_shards(earlier, split, layer, count, rows_per_shard) for layer in writers}
        shards = min(len(entries) for entries in found.values())
        if shards:
            (rows,) = {writer.take_over(earlier, found[layer][:shards]) for layer, writer in writers.items()}
            logger.info("%s: %d of %d images were extracted by an earlier attempt", split, rows, count)
            return rows
    return 0
