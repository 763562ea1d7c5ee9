"""What goes with the code: how it is cited, how containers are made, and how a shell completes and colours it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness import __version__

ROOT = Path(__file__).resolve().parent.parent


def test_the_citation_names_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cited["cff-version"], cited["version"], cited["license"]) == ("1.2.0", __version__, "Apache-2.0")
    assert {"message", "title", "authors"} <= set(cited)


@pytest.mark.parametrize("name", ["Dockerfile", "apptainer.def"])
def test_a_container_is_made_by_the_target_that_the_demo_needs(name: str) -> None:
    recipe = (ROOT / "containers" / name).read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (target,) = re.findall(r"make -C \S+ (\S+)", recipe)
    assert "\n$(VENV)/installed:" in makefile
    assert target == ".venv/installed"
    assert "pip" not in recipe
    assert "Never built" in recipe


COMPLETING = "from harness.cli.main import app; app(prog_name='harness')"


@pytest.mark.parametrize(
    ("words", "count", "offered"), [("harness pl", 1, ["plan"]), ("harness run --su", 2, ["--suite"])]
)
def test_a_shell_completes_verbs_and_flags(words: str, count: int, offered: list[str]) -> None:
    asked = {"_HARNESS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    done = subprocess.run(
        [sys.executable, "-c", COMPLETING],
        cwd=ROOT,
        env={**os.environ, **asked},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == offered


def in_a_terminal(program: str, **variables: str) -> str:
    """What a program prints on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program],
        env={**environment, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **variables},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        said = b""
        # Linux answers EIO once nobody holds the other end.
        try:
            while part := os.read(ours, 65536):
                said += part
        except OSError:
            pass
    os.close(ours)
    return said.decode()


COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")


LEFT_OUT = """
from pathlib import Path
from harness.cli.options import tell_left_out
from results.entries import LeftOut

tell_left_out([LeftOut(Path("result.json"), "is truncated")])
"""
TABLE = """
from harness.cli.console import make_console, make_table

make_console().print(make_table(("job", "state"), [("voc07_svm", "failed")], {"state": {"failed": "red"}}))
"""
HELP = "from harness.cli.main import app; app(['--help'])"


@pytest.mark.parametrize(
    ("program", "words"),
    [(LEFT_OUT, "is truncated"), (TABLE, "failed"), (HELP, "pretrain")],
    ids=("error", "table", "help"),
)
def test_a_terminal_gets_colours_unless_no_color_is_set(program: str, words: str) -> None:
    coloured, plain = in_a_terminal(program), in_a_terminal(program, NO_COLOR="1")
    assert words in plain
    assert COLOUR.search(coloured)
    assert not COLOUR.search(plain)
