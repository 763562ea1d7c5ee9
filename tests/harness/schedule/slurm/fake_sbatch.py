"""sbatch of the fake SLURM. Standard library only."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

import fake_options as options
from fake_common import fail, now
from fake_state import State, new_jobs, task_indices


def sbatch(state: State, words: list[str]) -> None:
    def unknown(message: str) -> NoReturn:
        fail(f'sbatch: {message}\nTry "sbatch --help" for more information', 255)

    given, arguments = options.SBATCH.parse(words, unknown)
    text, path = _script(given, arguments)
    directives = [line[len("#SBATCH") :].strip() for line in _head(text) if re.match(r"#SBATCH\s", line)]
    asked: dict[str, str] = {}
    for line in directives:
        asked.update(options.SBATCH.parse(_words(line), unknown)[0])
    asked.update(given)
    partitions = {each["name"]: each for each in state["partitions"]}
    if asked.get("partition", next(iter(partitions))) not in partitions:
        trouble = "allocation failure" if "test-only" in asked else "sbatch: error: Batch job submission failed"
        fail(
            f"sbatch: error: invalid partition specified: {asked['partition']}\n"
            f"{trouble}: Invalid partition name specified"
        )
    try:
        indices = task_indices(asked["array"]) if "array" in asked else []
        if max(indices, default=0) >= int(state["config"]["MaxArraySize"]):
            raise ValueError
    except ValueError:
        fail("sbatch: error: Batch job submission failed: Invalid job array specification")
    if "test-only" in asked:
        print(f"sbatch: Job {state['next_id']} to start at {now()} using 1 processors on nodes n1", file=sys.stderr)
        return
    fields: dict[str, Any] = {
        "name": asked.get("job-name", Path(path).name if path else ("wrap" if "wrap" in asked else "sbatch")),
        "comment": asked.get("comment", ""),
        "dependency": asked.get("dependency", ""),
        "reason": "JobHeldUser" if "hold" in asked else "Dependency" if "dependency" in asked else "None",
        "submitted": now(),
        "script": path,
        "options": asked,
    }
    if "partition" in asked:
        fields["partition"] = asked["partition"]
    number = new_jobs(state, asked.get("array", ""), **fields)
    print(number if "parsable" in asked else f"Submitted batch job {number}")


def _script(given: dict[str, str], arguments: list[str]) -> tuple[str, str]:
    """Text and path of the script."""
    if "wrap" in given:
        return f"#!/bin/sh\n{given['wrap']}\n", ""
    if not arguments:
        text, path = sys.stdin.read(), ""
    else:
        try:
            text, path = Path(arguments[0]).read_text(errors="surrogateescape"), os.path.abspath(arguments[0])
        except OSError:
            fail(f"sbatch: error: Unable to open file {arguments[0]}")
    if not text.startswith("#!"):
        fail(
            "sbatch: error: This does not look like a batch script.  The first\n"
            "sbatch: error: line must start with #! followed by the path to an interpreter.\n"
            "sbatch: error: For instance: #!/bin/sh"
        )
    return text, path


def _head(text: str) -> list[str]:
    """Lines up to the first command: no directive is read below it."""
    lines = []
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            break
        lines.append(line)
    return lines


def _words(line: str) -> list[str]:
    """Words of a directive: quotes group, a backslash keeps the next character, a hash begins a remark (sbatch(1))."""
    words: list[str] = []
    word, quote, begun, escaped = "", "", False, False
    for character in line:
        if escaped:
            word, escaped, begun = word + character, False, True
        elif character == "\\":
            escaped = True
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "\"'":
            quote, begun = character, True
        elif character == "#":
            break
        elif character.isspace():
            if begun:
                words.append(word)
            word, begun = "", False
        else:
            word, begun = word + character, True
    return [*words, word] if begun else words
