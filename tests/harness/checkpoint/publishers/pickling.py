"""Files of torch.save and of pickle that name classes of libraries which are not installed here.

`FakePickler` writes the names of classes marked by `pretends` and needs no such module.
"""

from __future__ import annotations

import pickle
import types
import typing
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch

from tests.harness.checkpoint.publishers.publisher import Build, Tensors, Writer

_FAKES: set[int] = set()
_Named = typing.TypeVar("_Named", bound=Callable[..., object])


def pretends(module: str) -> Callable[[_Named], _Named]:
    """The class or function is pickled by its own name as a member of `module`, which need not exist."""

    def mark(named: _Named) -> _Named:
        named.__module__ = module
        named.__qualname__ = named.__name__
        _FAKES.add(id(named))
        return named

    return mark


_Pickler: typing.Any = pickle._Pickler


class FakePickler(_Pickler):  # type: ignore[misc]
    """The interpreter's pickler in Python, which lets a global's name be written without importing it."""

    numpy1 = False
    dispatch: typing.ClassVar[dict[type, object]] = dict(_Pickler.dispatch)

    def save_global(self, obj: typing.Any, name: str | None = None) -> None:
        module = str(getattr(obj, "__module__", ""))
        if id(obj) in _FAKES:
            self._name(obj, module, obj.__qualname__)
        elif self.numpy1 and module.startswith("numpy._core"):
            # Files written before NumPy 2 name numpy.core.
            self._name(obj, module.replace("numpy._core", "numpy.core", 1), name or obj.__qualname__)
        else:
            super().save_global(obj, name)

    dispatch[types.FunctionType] = save_global

    def _name(self, obj: object, module: str, name: str) -> None:
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(obj)


class FakePicklerNumpy1(FakePickler):
    numpy1 = True


def _pickle_module(pickler: type[FakePickler]) -> types.SimpleNamespace:
    def dump(value: object, file: typing.Any, protocol: int = 2) -> None:
        pickler(file, protocol=protocol).dump(value)

    return types.SimpleNamespace(__name__="pickle", Pickler=pickler, dump=dump)


def torch_file(build: Build, *, legacy: bool = False, cuda: bool = False, numpy1: bool = False) -> Writer:
    """A file of torch.save.

    Args:
        build: Makes the content from the two backbones.
        legacy: One stream instead of a zip archive, as torch wrote before 1.6.
        cuda: The storages say that they were on the first GPU, as most training scripts leave them.
        numpy1: NumPy's globals have their names of NumPy 1.
    """

    def write(path: Path, backbone: Tensors, other: Tensors) -> None:
        module = _pickle_module(FakePicklerNumpy1 if numpy1 else FakePickler)
        with mock.patch.object(torch.serialization, "location_tag", return_value="cuda:0" if cuda else "cpu"):
            torch.save(build(backbone, other), path, pickle_module=module, _use_new_zipfile_serialization=not legacy)

    return write


def pickle_file(build: Build, *, protocol: int, numpy1: bool = False) -> Writer:
    """A plain pickle, without torch."""

    def write(path: Path, backbone: Tensors, other: Tensors) -> None:
        with path.open("wb") as file:
            _pickle_module(FakePicklerNumpy1 if numpy1 else FakePickler).dump(build(backbone, other), file, protocol)

    return write
