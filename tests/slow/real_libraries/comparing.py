"""Checkpoints made by libraries themselves are read as they are: no special case, no --trust, exactly their weights.

mmpretrain and torchvision are the harness's own. The others are not among its requirements; each test is skipped where
its library is missing. An environment that has them, beside one that has the harness (from the repository's root):

    python3.11 -m venv .real && site=$(echo .real/lib/python3*/site-packages)
    (cd .venv/lib/python3*/site-packages && pwd) > $site/shared.pth
    .real/bin/python -m pip install --no-deps timm transformers "tokenizers<0.24" huggingface_hub httpx2 httpcore2 \
        anyio h11 pytorch-lightning lightning lightning-utilities torchmetrics lightly lightly-utils omegaconf \
        antlr4-python3-runtime==4.9.3 einops wheel "setuptools<70"
    .real/bin/python -m pip install --no-deps --no-build-isolation git+https://github.com/vturrisi/solo-learn
    .real/bin/python -m pytest -m slow tests/slow/real_libraries

PyPI has solo-learn as of 2021 only, which puts its network elsewhere; it is read too, in an environment of its own:
`solo-learn==1.0.2 pytorch-lightning==1.9.5 torchmetrics==0.11.4 lightning-bolts==0.7.0`, with what is shared above.
"""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.backbone import build_backbone
from harness.checkpoint.intake import Facts, examine
from results.errors import HarnessError

Features = Callable[[torch.Tensor], torch.Tensor]

ABSENT = "{} is not installed; the head of tests/slow/real_libraries/comparing.py says how"

NORMS = {"weight": (0.5, 1.5), "bias": (-0.3, 0.3), "running_mean": (-0.3, 0.3), "running_var": (0.5, 1.5)}


def library(name: str) -> Any:
    return pytest.importorskip(name, reason=ABSENT.format(name), exc_type=ImportError)


def randomised(model: Any) -> Any:
    """The model as if it were trained: other batch norms and smaller weights, and no two copies of a network alike."""
    generator = torch.Generator().manual_seed(7)
    for layer in layers(model):
        if isinstance(layer, nn.Conv2d):
            layer.weight.data.mul_(0.7 + 0.2 * torch.rand(1, generator=generator))
        elif layer.affine:
            for part, (low, high) in NORMS.items():
                getattr(layer, part).data.uniform_(low, high, generator=generator)
    return model


def prints(tensors: list[torch.Tensor]) -> Counter[str]:
    """What the tensors hold, bit by bit, without names or order."""
    return Counter(
        f"{list(tensor.shape)} {hashlib.sha256(tensor.detach().contiguous().numpy().tobytes()).hexdigest()}"
        for tensor in tensors
    )


def layers(network: nn.Module) -> list[nn.Conv2d | _BatchNorm]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | _BatchNorm)]


def values(network: nn.Module) -> list[torch.Tensor]:
    """All tensors of the convolutions and batch norms of a network, but for the counters."""
    return [
        tensor
        for layer in layers(network)
        for name, tensor in layer.state_dict().items()
        if name != "num_batches_tracked"
    ]


def same(tensors: Mapping[str, torch.Tensor], network: nn.Module, features: Features | None = None) -> None:
    """The tensors are the network's, each of them, and in their places.

    `network` holds nothing but the backbone and, perhaps, a linear classifier; `features` gives its pooled features.
    """
    first, *_ = layers(network)
    assert isinstance(first, nn.Conv2d)
    assert torch.equal(tensors["conv1.weight"], first.weight)
    *_, last = (layer for layer in layers(network) if isinstance(layer, _BatchNorm))
    # Where the shortcut is registered is the library's affair; the last block has none.
    for part in ("weight", "bias", "running_mean", "running_var"):
        assert torch.equal(tensors[f"layer4.2.bn3.{part}"], getattr(last, part)), part
    assert len(tensors) == 265
    assert prints(list(tensors.values())) == prints(values(network))
    training = network.training
    network.eval()
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = (features or network)(images).flatten(1)
        found = build_backbone(tensors)(images)
    network.train(training)
    assert expected.shape == (2, 2048)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def read(path: Path, form: str, encoder: str, choose: str | None = None) -> tuple[Facts, Mapping[str, torch.Tensor]]:
    """What intake says of a file; it names nothing foreign and leaves the user with nothing to worry about."""
    facts, tensors = examine(str(path), encoder=choose)
    print(f"\n{path.name}: {facts.format}, {facts.encoder} of {facts.encoders}, ignored {facts.ignored}")
    assert (facts.format, facts.encoder) == (form, encoder)
    assert facts.input == "rgb-mean-std"
    assert not facts.remarks
    unknown = (f"the publisher is not known from the file: input convention {facts.input} is taken (--input gives "
               "another)")  # fmt: skip
    assert facts.warnings == ((unknown,) if form in ("generic", "lightning") else ())
    return facts, tensors


def refused(path: Path, *said: str) -> None:
    with pytest.raises(HarnessError) as refusal:
        examine(str(path))
    print(f"\n{refusal.value}")
    for words in said:
        assert words in str(refusal.value)


def torchvision_features(model: Any) -> nn.Module:
    bare = copy.deepcopy(model)
    bare.fc = nn.Identity()
    assert isinstance(bare, nn.Module)
    return bare
