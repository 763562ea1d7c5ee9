"""Nodes of omegaconf, which is not installed here, with the state that they are pickled with."""

from __future__ import annotations

import collections
import dataclasses
import typing

from tests.harness.checkpoint.publishers.pickling import pretends


@pretends("omegaconf.base")
@dataclasses.dataclass
class Metadata:
    ref_type: object = typing.Any
    object_type: object = None
    optional: bool = True
    key: object = None
    flags: dict[str, bool] = dataclasses.field(default_factory=dict)
    flags_root: bool = False
    resolver_cache: object = dataclasses.field(default_factory=lambda: collections.defaultdict(dict))


@pretends("omegaconf.base")
@dataclasses.dataclass
class ContainerMetadata(Metadata):
    key_type: object = typing.Any
    element_type: object = typing.Any


class _Node:
    def __init__(self, **state: object) -> None:
        self.__dict__.update(state)


@pretends("omegaconf.nodes")
class AnyNode(_Node):
    pass


@pretends("omegaconf.dictconfig")
class DictConfig(_Node):
    pass


@pretends("omegaconf.listconfig")
class ListConfig(_Node):
    pass


def omega(value: object, key: object = None, parent: object = None) -> _Node:
    """A node with the state that omegaconf 2.x pickles, cycles between parent and child included."""
    if isinstance(value, dict):
        node: _Node = DictConfig(_metadata=ContainerMetadata(key=key, object_type=dict), _parent=parent)
        node.__dict__["_content"] = {name: omega(inner, name, node) for name, inner in value.items()}
    elif isinstance(value, list):
        node = ListConfig(_metadata=ContainerMetadata(key=key, object_type=list, key_type=int), _parent=parent)
        node.__dict__["_content"] = [omega(inner, index, node) for index, inner in enumerate(value)]
    else:
        node = AnyNode(_metadata=Metadata(key=key), _parent=parent, _val=value)
    return node
