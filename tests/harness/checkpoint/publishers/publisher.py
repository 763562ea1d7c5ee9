"""What the tests know of one publisher's file: its name, who writes it, and what intake makes of it."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

Tensors = Mapping[str, torch.Tensor]
Writer = Callable[[Path, Tensors, Tensors], None]
Build = Callable[[Tensors, Tensors], object]

Array = np.ndarray[typing.Any, np.dtype[typing.Any]]


@dataclasses.dataclass(frozen=True)
class Publisher:
    """One publisher's file.

    `write(path, backbone, other)`: `other` is a second, different ResNet-50 and becomes the momentum copy, the teacher
    or whatever second encoder the file holds; `others` names those encoders.
    """

    name: str
    file_name: str
    format: str
    encoder: str
    write: Writer
    others: tuple[str, ...] = ()
    input: str = "rgb-mean-std"


@dataclasses.dataclass(frozen=True)
class RefusedPublisher:
    """A file that is no plain ResNet-50, or one whose strides lie elsewhere; `said`: words of the refusal."""

    name: str
    file_name: str
    write: Writer
    said: tuple[str, ...]
