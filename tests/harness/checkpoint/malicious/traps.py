"""Traps: opcodes that make a folder if an unpickler does what they say, and the names that they need for it."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path

from tests.harness.checkpoint.assembly import (
    DISCARD,
    NONE,
    build,
    call,
    dotted,
    entry,
    listed,
    named,
    number,
    several,
    text,
)


def shell(marker: Path) -> bytes:
    return text(f"mkdir {shlex.quote(str(marker))}")


def code(marker: Path) -> bytes:
    return text(f"__import__('os').mkdir({str(marker)!r})")


def mkdir(marker: Path) -> bytes:
    return text(str(marker))


def beside(marker: Path, name: str) -> bytes:
    return text(str(marker.parent / name))


SYSTEM = named("posix", "system")
PARTIAL = named("functools", "partial")
IMPORT = named("importlib", "import_module")
GETATTR = named("builtins", "getattr")
MEMBER = call(named("evil_plugin", "Member"))


def partial(function: bytes, *arguments: bytes, keywords: bytes = b"}") -> bytes:
    """``functools.partial``, which alone can give keywords to a function."""
    return build(call(PARTIAL, function), several(function, several(*arguments), keywords, NONE))


@dataclasses.dataclass(frozen=True)
class Trap:
    """Opcodes that leave one value, and on the way make a folder.

    Args:
        opcodes: Made from the folder.
        names: The globals that a refusal names; alternatives separated by ``|``.
    """

    opcodes: Callable[[Path], bytes]
    names: tuple[str, ...]


def of(function: str, argument: Callable[[Path], bytes] = shell, *more: bytes) -> Trap:
    module, _, name = function.rpartition(".")
    return Trap(lambda marker: call(named(module, name), argument(marker), *more), (function,))


def dotted_of(module: str, name: str, argument: Callable[[Path], bytes] = shell) -> Trap:
    return Trap(lambda marker: call(dotted(module, name), argument(marker)), (f"{module}.{name}",))


TRAPS: dict[str, Trap] = {
    "posix.system": of("posix.system"),
    "os.system": of("os.system"),
    "nt alias": of("os.mkdir", mkdir),
    "eval": of("builtins.eval", code),
    "exec": of("builtins.exec", code),
    "eval of Python 2": Trap(
        lambda m: b"\x80\x02" + call(named("__builtin__", "eval"), code(m)), ("__builtin__.eval|builtins.eval",)
    ),
    "Popen": of("subprocess.Popen", lambda m: listed(text("mkdir"), mkdir(m))),
    "torch.hub.load": Trap(
        lambda m: call(
            partial(named("torch.hub", "load"), keywords=entry(text("source"), text("local"))),
            beside(m, "hub"),
            text("entry"),
        ),
        ("torch.hub.load",),
    ),
    "torch.hub._load_local": of("torch.hub._load_local", lambda m: beside(m, "hub"), text("entry")),
    "torch.load": Trap(
        lambda m: call(
            partial(named("torch", "load"), keywords=entry(text("weights_only"), b"\x89")), beside(m, "second.pth")
        ),
        ("torch.load",),
    ),
    "torch's own loader": Trap(
        lambda m: call(
            named("torch.serialization", "_legacy_load"),
            call(named("io", "open"), beside(m, "second.pkl"), text("rb")),
            NONE,
            call(IMPORT, text("pickle")),
        ),
        ("torch.serialization._legacy_load", "io.open", "importlib.import_module"),
    ),
    "run_path": of("runpy.run_path", lambda m: beside(m, "evil_import.py")),
    "import_module": of("importlib.import_module", lambda m: text("evil_import")),
    "a module beside the file": Trap(lambda m: named("evil_import", "thing"), ("evil_import.thing",)),
    "getattr": Trap(
        lambda m: call(call(GETATTR, call(IMPORT, text("os")), text("system")), shell(m)),
        ("importlib.import_module",),
    ),
    "getattr chain from a plain type": Trap(
        lambda m: call(
            call(
                GETATTR,
                call(
                    named("_operator", "getitem"),
                    call(
                        GETATTR,
                        call(GETATTR, named("argparse", "Namespace"), text("__init__")),
                        text("__globals__"),
                    ),
                    text("_os"),
                ),
                text("system"),
            ),
            shell(m),
        ),
        ("_operator.getitem",),
    ),
    "copyreg._reconstructor": Trap(
        lambda m: call(
            named("copyreg", "_reconstructor"),
            named("subprocess", "Popen"),
            named("subprocess", "Popen"),
            listed(text("mkdir"), mkdir(m)),
        ),
        ("subprocess.Popen",),
    ),
    "_rebuild_from_type_v2": Trap(
        lambda m: call(
            named("torch._tensor", "_rebuild_from_type_v2"), SYSTEM, named("builtins", "int"), several(shell(m)), NONE
        ),
        ("posix.system",),
    ),
    "partial": Trap(lambda m: call(partial(SYSTEM, shell(m))), ("posix.system",)),
    "iterator": Trap(
        lambda m: call(
            named("builtins", "list"), call(named("itertools", "starmap"), SYSTEM, listed(several(shell(m))))
        ),
        ("itertools.starmap", "posix.system"),
    ),
    "map": Trap(
        lambda m: call(named("collections", "deque"), call(named("builtins", "map"), SYSTEM, listed(shell(m)))),
        ("builtins.map", "posix.system"),
    ),
    "defaultdict": Trap(
        lambda m: call(
            named("_operator", "getitem"), call(named("collections", "defaultdict"), partial(SYSTEM, shell(m))), NONE
        ),
        ("_operator.getitem", "posix.system"),
    ),
    "__setstate__ given by a state": Trap(
        lambda m: build(
            build(call(named("argparse", "Namespace")), entry(text("__setstate__"), named("posix", "mkdir"))), mkdir(m)
        ),
        ("posix.mkdir",),
    ),
    "INST": Trap(lambda m: b"(" + shell(m) + b"iposix\nsystem\n", ("posix.system",)),
    "OBJ": Trap(lambda m: b"(" + named("evil_plugin", "Init") + mkdir(m) + b"o", ("evil_plugin.Init",)),
    "NEWOBJ": Trap(lambda m: named("evil_plugin", "New") + several(mkdir(m)) + b"\x81", ("evil_plugin.New",)),
    "NEWOBJ_EX": Trap(
        lambda m: named("evil_plugin", "New") + b")" + entry(text("path"), mkdir(m)) + b"\x92", ("evil_plugin.New",)
    ),
    "BUILD": Trap(lambda m: build(MEMBER, mkdir(m)), ("evil_plugin.Member",)),
    "APPEND": Trap(lambda m: MEMBER + mkdir(m) + b"a", ("evil_plugin.Member",)),
    "APPENDS": Trap(lambda m: MEMBER + b"(" + mkdir(m) + b"e", ("evil_plugin.Member",)),
    "SETITEM": Trap(lambda m: MEMBER + NONE + mkdir(m) + b"s", ("evil_plugin.Member",)),
    "SETITEMS": Trap(lambda m: MEMBER + b"(" + NONE + mkdir(m) + b"u", ("evil_plugin.Member",)),
    "ADDITEMS": Trap(lambda m: MEMBER + b"(" + mkdir(m) + b"\x90", ("evil_plugin.Member",)),
    "__hash__": Trap(lambda m: entry(build(call(named("evil_plugin", "Key")), mkdir(m)), NONE), ("evil_plugin.Key",)),
    "dotted os": dotted_of("os", "system"),
    "dotted torch": dotted_of("torch", "os.system"),
    "dotted torch.serialization": dotted_of("torch.serialization", "os.system"),
    "dotted torch._dynamo": dotted_of("torch._dynamo.utils", "os.system"),
    "dotted pathlib": dotted_of("pathlib", "os.system"),
    "dotted argparse": dotted_of("argparse", "_os.system"),
    "a method of a plain type": dotted_of(
        "pathlib", "Path.mkdir", lambda m: call(named("pathlib", "PosixPath"), mkdir(m))
    ),
    "members of torch's tensor builder": Trap(
        lambda m: (
            call(dotted("torch._utils", "_rebuild_tensor_v2.__globals__.__getitem__"), text("os"))
            + DISCARD
            + call(SYSTEM, shell(m))
        ),
        ("torch._utils._rebuild_tensor_v2.__globals__.__getitem__", "posix.system"),
    ),
    "torch.jit": Trap(
        lambda m: call(named("torch.jit.unsupported_tensor_ops", "execWrapper"), code(m), b"}", b"}"),
        ("torch.jit.unsupported_tensor_ops.execWrapper",),
    ),
    "torch.fx": of("torch.fx.graph_module._exec_with_source", code, b"}"),
    "collect_env": of("torch.utils.collect_env.run"),
    "numpy.load": of("numpy.load", lambda m: beside(m, "second.npy"), NONE, b"\x88"),
    "numpy runstring": of("numpy.testing._private.utils.runstring", code, b"}"),
    "numpy.f2py": of("numpy.f2py.diagnose.run_command"),
    "torch.storage._load_from_bytes": Trap(
        lambda m: call(named("torch.storage", "_load_from_bytes"), b"B" + _sized(second(m))),
        ("torch.storage._load_from_bytes",),
    ),
    "pickle in a pickle": Trap(lambda m: call(named("_pickle", "loads"), b"B" + _sized(second(m))), ("_pickle.loads",)),
    "timeit": of("timeit.timeit", code, text("pass"), named("time", "perf_counter"), number(1)),
}
UNPROVEN = {"torch.storage._load_from_bytes": "torch's own version asks for weights_only, so it runs nothing by itself"}


def second(marker: Path) -> bytes:
    return b"\x80\x02" + call(SYSTEM, shell(marker)) + b"."


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data
