"""Every pretraining config by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pretrain.base import Pretraining
from pretrain.simclr import SimCLR
from results.errors import HarnessError, did_you_mean

DEFAULT_CONFIG = SimCLR.name

CONFIGS: Mapping[str, Pretraining] = MappingProxyType({each.name: each for each in (SimCLR(),)})
"""All of them, in the order of lists."""


def find_config(name: str, where: str = "pretrain") -> Pretraining:
    """Looks one config up.

    Raises:
        HarnessError: There is none of that name.
    """
    if name not in CONFIGS:
        raise HarnessError(f"unknown pretraining config '{name}'", where, did_you_mean(name, CONFIGS))
    return CONFIGS[name]
