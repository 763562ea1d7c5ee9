"""What is said of the names in a pickle: all of them, printable, and nothing of plain types."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.backbone import digest
from harness.checkpoint.intake import examine
from tests.harness.checkpoint.assembly import (
    CONTAINERS,
    Raw,
    build,
    dotted,
    entry,
    mmpretrain,
    named,
    number,
    save_torch,
    text,
)
from tests.harness.checkpoint.malicious.traps import TRAPS
from tests.harness.checkpoint.malicious.watching import refused_and_trusted, watched

Tensors = dict[str, torch.Tensor]


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
