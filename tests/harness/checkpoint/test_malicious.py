"""No pickle runs anything, whatever it names, wherever the name stands and whatever file the pickle lies in."""

from __future__ import annotations

import argparse
import copyreg
import dataclasses
import datetime
import pickle
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.backbone import digest
from harness.checkpoint.intake import examine
from results.errors import HarnessError
from tests.harness.checkpoint.assembly import (
    CONTAINERS,
    DISCARD,
    FOURTH_PROTOCOL,
    NONE,
    PERSISTENT,
    Raw,
    arrays,
    assemble,
    build,
    call,
    dotted,
    entry,
    listed,
    load_unrestricted,
    mmpretrain,
    named,
    npy,
    number,
    save_torch,
    several,
    tar_of,
    text,
)

Tensors = dict[str, torch.Tensor]
EXTENSION = 240
"""A private code of copyreg's registry."""

PLUGIN = """
import os

class New:
    def __new__(cls, path="", **more): os.mkdir(path or more["path"])

class Init:
    def __init__(self, path): os.mkdir(path)

class Member:
    def __setstate__(self, path): os.mkdir(path)
    def __setitem__(self, key, path): os.mkdir(path)
    def append(self, path): os.mkdir(path)
    def extend(self, paths): os.mkdir(paths[0])
    add = append

class Key:
    def __setstate__(self, path): self.path = path
    def __hash__(self): os.mkdir(self.path); return 0
"""


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
        lambda m: call(named("torch.storage", "_load_from_bytes"), b"B" + _sized(_second(m))),
        ("torch.storage._load_from_bytes",),
    ),
    "pickle in a pickle": Trap(
        lambda m: call(named("_pickle", "loads"), b"B" + _sized(_second(m))), ("_pickle.loads",)
    ),
    "timeit": of("timeit.timeit", code, text("pass"), named("time", "perf_counter"), number(1)),
}
UNPROVEN = {"torch.storage._load_from_bytes": "torch's own version asks for weights_only, so it runs nothing by itself"}


def _second(marker: Path) -> bytes:
    return b"\x80\x02" + call(SYSTEM, shell(marker)) + b"."


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def in_array(opcodes: bytes) -> object:
    found = np.empty(1, dtype=object)
    found[0] = Raw(opcodes)
    return found


TENSOR = named("torch._utils", "_rebuild_tensor_v2")
PAIRS = [
    (name, container)
    for name in sorted(TRAPS.keys() - UNPROVEN.keys())
    for container in CONTAINERS
    if container in ("zip", "legacy", "pickle-4") or name in ("os.system", "eval", "torch.hub.load")
]
"""Every trap in the three kinds of file that differ most, some traps in every kind."""

PLACES: dict[str, Callable[[bytes], object]] = {
    "list": lambda trap: [Raw(trap)],
    "tuple": lambda trap: (1, (Raw(trap),)),
    "dictionary value": lambda trap: {"a": {"b": Raw(trap)}},
    "dictionary key": lambda trap: {Raw(trap): 1},
    "tuple as a key": lambda trap: {(1, Raw(trap)): 1},
    "set": lambda trap: Raw(b"\x8f(" + trap + b"\x90"),
    "frozen set": lambda trap: Raw(b"(" + trap + b"\x91"),
    "discarded": lambda trap: Raw(trap + DISCARD + NONE),
    "discarded to a mark": lambda trap: Raw(b"(" + trap + b"1" + NONE),
    "remembered": lambda trap: Raw(trap + b"q\x00" + DISCARD + NONE),
    "argument": lambda trap: Raw(call(named("builtins", "complex"), trap)),
    "state": lambda trap: Raw(build(call(named("argparse", "Namespace")), entry(text("a"), trap))),
    "numpy object array": in_array,
}
"""Where a trap may stand without harm to the pickle around it."""

BREAKING: dict[str, Callable[[bytes], object]] = {
    "persistent id": lambda trap: Raw(trap + PERSISTENT),
    "storage type": lambda trap: Raw(several(text("storage"), trap, text("0"), text("cpu"), number(1)) + PERSISTENT),
    "storage key": lambda trap: Raw(
        several(text("storage"), named("torch", "FloatStorage"), trap, text("cpu"), number(1)) + PERSISTENT
    ),
    "storage of a tensor": lambda trap: Raw(call(TENSOR, trap, number(0), several(), several(), b"\x89", b"}")),
    "offset of a tensor": lambda trap: Raw(call(TENSOR, NONE, trap, several(), several(), b"\x89", b"}")),
    "hooks of a tensor": lambda trap: Raw(call(TENSOR, NONE, number(0), several(), several(), b"\x89", trap)),
}
"""Where the trap makes the pickle senseless, even for one who trusts the file."""


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a trap makes; whatever the traps need lies beside it."""
    found = tmp_path / "sprung"
    script = f"import os\nthing = os.mkdir({str(found)!r})\n"
    (tmp_path / "evil_import.py").write_text(script)
    (tmp_path / "evil_plugin.py").write_text(PLUGIN)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "hubconf.py").write_text(f"def entry():\n    import os\n    os.mkdir({str(found)!r})\n")
    (tmp_path / "second.pkl").write_bytes(_second(found))
    save_torch(tmp_path / "second.pth", Raw(call(SYSTEM, shell(found))))
    (tmp_path / "second.npy").write_bytes(npy(Raw(call(SYSTEM, shell(found)))))
    monkeypatch.syspath_prepend(str(tmp_path))
    return found


SPAWNING = ("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen", "pty.spawn")
_watching = False
_seen: list[str] = []


def _audit(event: str, _: Any) -> None:
    if _watching and event in (*SPAWNING, "os.mkdir", "pickle.find_class", "socket.connect", "shutil.rmtree"):
        _seen.append(event)


sys.addaudithook(_audit)


def forget_bait() -> None:
    for name in [name for name in sys.modules if name.startswith("evil_") or name == "hubconf"]:
        del sys.modules[name]


def prove(path: Path, container: str, marker: Path) -> None:
    """An unrestricted loader springs the trap."""
    failure: Exception | None = None
    try:
        load_unrestricted(path, container)
    except Exception as error:  # noqa: BLE001 - behind the trap the pickle need not make sense
        failure = error
    deadline = time.monotonic() + 5
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert marker.is_dir(), f"the trap itself does not work: {failure!r}"
    marker.rmdir()
    forget_bait()


def watched(path: Path, trust: bool, marker: Path) -> tuple[Any, HarnessError | None]:
    """Examines a file; nothing may be started, imported or made meanwhile."""
    global _watching
    facts, refusal = None, None
    _seen.clear()
    _watching = True
    try:
        facts = examine(str(path), trust=trust)[0]
    except HarnessError as error:
        refusal = error
    finally:
        _watching = False
    assert not marker.exists(), "the trap was sprung"
    assert not _seen, f"reading did {_seen}"
    assert not [name for name in sys.modules if name.startswith("evil_")], "a module of the file's choice was imported"
    return facts, refusal


def names_all(sentence: str, names: tuple[str, ...]) -> bool:
    return all(any(form in sentence for form in name.split("|")) for name in names)


def refused_and_trusted(path: Path, marker: Path, names: tuple[str, ...], expected: str) -> None:
    facts, refusal = watched(path, False, marker)
    assert refusal is not None, f"read without trust: {facts}"
    assert names_all(refusal.what, names), refusal.what
    assert "--trust" in refusal.mend
    facts, refusal = watched(path, True, marker)
    assert refusal is None, f"not read in spite of trust: {refusal}"
    assert facts.digest == expected
    saying = [warning for warning in facts.warnings if names_all(warning, names)]
    assert len(saying) == 1, facts.warnings
    assert "run" in saying[0]


@pytest.mark.parametrize(("name", "container"), PAIRS)
def test_every_trap_in_every_container(small: Tensors, marker: Path, name: str, container: str) -> None:
    trap = TRAPS[name]
    path = marker.with_name("a.pth")
    CONTAINERS[container](path, small, Raw(trap.opcodes(marker)))
    prove(path, container, marker)
    refused_and_trusted(path, marker, trap.names, digest(small))


@pytest.mark.parametrize("name", sorted(UNPROVEN))
def test_names_that_may_run_code_under_another_torch(small: Tensors, marker: Path, name: str) -> None:
    path = save_torch(marker.with_name("a.pth"), mmpretrain(small, Raw(TRAPS[name].opcodes(marker))))
    refused_and_trusted(path, marker, TRAPS[name].names, digest(small))


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle-4", "npz"])
@pytest.mark.parametrize("place", PLACES)
def test_a_trap_in_every_place(small: Tensors, marker: Path, place: str, container: str) -> None:
    path = marker.with_name("a.pth")
    CONTAINERS[container](path, small, PLACES[place](call(SYSTEM, shell(marker))))
    prove(path, container, marker)
    refused_and_trusted(path, marker, ("posix.system",), digest(small))


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle-4", "npz"])
@pytest.mark.parametrize("place", BREAKING)
def test_a_trap_as_part_of_a_tensor(small: Tensors, marker: Path, place: str, container: str) -> None:
    path = marker.with_name("a.pth")
    CONTAINERS[container](path, small, BREAKING[place](call(SYSTEM, shell(marker))))
    prove(path, container, marker)
    facts, refusal = watched(path, False, marker)
    assert refusal is not None, facts
    facts, refusal = watched(path, True, marker)
    assert refusal is not None or facts.digest == digest(small)


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle-4", "tar"])
def test_a_trap_in_place_of_a_weight_or_of_everything(small: Tensors, marker: Path, container: str) -> None:
    path = marker.with_name("a.pth")
    trap = Raw(call(SYSTEM, shell(marker)))
    whole = marker.with_name("whole")
    for content in (mmpretrain({**small, "conv1.weight": trap}, {}), trap):
        if container == "pickle-4":
            plain = content if isinstance(content, Raw) else mmpretrain({**arrays(small), "conv1.weight": trap}, {})
            path.write_bytes(assemble(plain, 4))
        else:
            save_torch(path, content, zipped=container != "legacy")
        if container == "tar":
            path.rename(whole)
            tar_of(path, {"checkpoint.pth": whole.read_bytes()})
        prove(path, container, marker)
        facts, refusal = watched(path, False, marker)
        assert refusal is not None, facts
        assert "posix.system" in refusal.what
        facts, refusal = watched(path, True, marker)
        assert refusal is not None, facts


@pytest.fixture
def extension() -> Iterator[None]:
    copyreg.add_extension("posix", "system", EXTENSION)
    yield
    copyreg.remove_extension("posix", "system", EXTENSION)


@pytest.mark.usefixtures("extension")
@pytest.mark.parametrize("opcode", [b"\x82\xf0", b"\x83\xf0\x00", b"\x84\xf0\x00\x00\x00"], ids=["1", "2", "4"])
@pytest.mark.parametrize("container", ["zip", "legacy", "pickle-4"])
def test_codes_of_the_extension_registry(small: Tensors, marker: Path, container: str, opcode: bytes) -> None:
    # Python keeps what a code stood for: after the first use no loader is asked for the name.
    path = marker.with_name("a.pth")
    CONTAINERS[container](path, small, Raw(call(opcode, shell(marker))))
    prove(path, container, marker)
    facts, refusal = watched(path, False, marker)
    assert refusal is not None, facts
    facts, refusal = watched(path, True, marker)
    assert refusal is not None or facts.digest == digest(small)


def test_all_names_are_told_at_once(small: Tensors, marker: Path) -> None:
    traps = [Raw(TRAPS[name].opcodes(marker)) for name in ("posix.system", "eval", "run_path", "numpy.load", "Popen")]
    path = save_torch(marker.with_name("a.pth"), mmpretrain(small, traps))
    names = ("posix.system", "builtins.eval", "runpy.run_path", "numpy.load", "subprocess.Popen")
    refused_and_trusted(path, marker, names, digest(small))


@pytest.mark.parametrize("name", ["system\x1b[2J", "sys\u202etem", "s" * 5000, "a.b\\c"])
def test_names_that_would_disturb_a_terminal(small: Tensors, marker: Path, name: str) -> None:
    path = save_torch(marker.with_name("a.pth"), mmpretrain(small, Raw(dotted("evil", name))))
    _, refusal = watched(path, False, marker)
    assert refusal is not None
    assert "evil." in refusal.what
    assert all(line.isprintable() for line in str(refusal).split("\n"))
    facts, _ = watched(path, True, marker)
    assert facts.digest == digest(small)
    assert all(warning.isprintable() for warning in facts.warnings)


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle-2", "pickle-4", "pickle-5", "tar"])
def test_plain_types_pass_in_silence(small: Tensors, tmp_path: Path, container: str) -> None:
    history = named("mmengine.logging.history_buffer", "HistoryBuffer")
    settings = named("omegaconf.dictconfig", "DictConfig")
    meta = {
        "args": argparse.Namespace(lr=0.1, out=Path("work_dirs")),
        "time": datetime.datetime(2022, 8, 25, tzinfo=datetime.UTC),
        "best": np.float64(0.5),
        "losses": np.arange(3.0),
        "kind": np.dtype("float32"),
        "history": Raw(build(history + b")\x81", entry(text("_max_length"), number(1000)))),
        "settings": Raw(build(settings + b")\x81", entry(text("_content"), entry(text("lr"), number(1))))),
    }
    path = tmp_path / "a.pth"
    CONTAINERS[container](path, small, meta)
    facts = examine(str(path))[0]
    assert facts.digest == digest(small)
    assert facts.warnings == ()


def test_the_opcodes_are_what_python_reads() -> None:
    assert pickle.loads(FOURTH_PROTOCOL + listed(number(-5), number(2**40), text("a"), several(NONE)) + b".") == [
        -5,
        2**40,
        "a",
        (None,),
    ]
