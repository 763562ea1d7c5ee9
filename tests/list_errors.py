"""Collects every error message of the code and writes ``docs/errors.md``: ``python -m tests.list_errors``."""

from __future__ import annotations

import ast
import dataclasses
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "errors.md"
PACKAGES = ("harness", "benchmarks", "results", "pretrain")
COMMAND = "python -m tests.list_errors"
PARTS = ("what", "where", "mend")

HEAD = f"""\
# Errors

Every message with which the harness refuses something: what is wrong, where, and what mends it. The command line prints
it as `error: WHAT`, `where: WHERE`, `mend: MEND` and ends with status 2; in a job it stands in the attempt's log and in
the table of the run. `{{...}}` is filled in when it happens; `a / b` is one or the other.

An error that is not listed here, or that comes with a traceback, is a fault of the harness: please report it. Two more
messages are printed before anything is imported, on a foreign package in the current folder and on two distributions
of the same toolbox (`harness/startup.py`).

Made from the source by `{COMMAND}`; a test fails where this page and the source differ.
"""


@dataclasses.dataclass(frozen=True)
class Message:
    """One place that makes a ``HarnessError``.

    Args:
        file: Path from the root of the project.
        line: Line of the call; not on the page, which would change with every edit.
        what: First argument as a template.
        where: Second; empty where there is none.
        mend: Third; empty where there is none.
    """

    file: str
    line: int
    what: str
    where: str
    mend: str


class Templates(ast.NodeVisitor):
    """Walks one module and notes each call of ``HarnessError`` with its arguments as templates."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Message] = []
        self._scopes: list[dict[str, list[ast.expr]]] = [{}]

    def visit_Module(self, node: ast.Module) -> None:
        self._enter(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._enter(node)

    def _enter(self, node: ast.Module | ast.FunctionDef) -> None:
        """Strings that a name stands for are those assigned to it in the same function or module."""
        scope: dict[str, list[ast.expr]] = {}
        for each in ast.walk(node) if isinstance(node, ast.FunctionDef) else node.body:
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                scope.setdefault(each.targets[0].id, []).append(each.value)
        self._scopes.append(scope)
        self.generic_visit(node)
        self._scopes.pop()

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "HarnessError":
            given = {**dict(zip(PARTS, node.args, strict=False)), **{each.arg: each.value for each in node.keywords}}
            texts = {part: self._text(given[part]) if part in given else "" for part in PARTS}
            self.found.append(Message(self.file, node.lineno, **texts))
        self.generic_visit(node)

    def _text(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.JoinedStr):
            return "".join(
                self._filled(part.value) if isinstance(part, ast.FormattedValue) else self._text(part)
                for part in node.values
            )
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._text(node.left) + self._text(node.right)
        if isinstance(node, ast.IfExp):
            return f"{self._text(node.body)} / {self._text(node.orelse)}"
        return self._filled(node)

    def _filled(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.IfExp) and isinstance(node.body, ast.Constant | ast.JoinedStr):
            return f"{self._text(node.body)} / {self._text(node.orelse)}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "did_you_mean":
                return "{did you mean ...? valid: ...}"
            if node.func.id in ("str", "printable", "repr") and node.args:
                return self._filled(node.args[0])
        if isinstance(node, ast.Name):
            texts = [self._text(value) for scope in self._scopes for value in scope.get(node.id, []) if is_text(value)]
            if texts:
                return " / ".join(dict.fromkeys(texts))
        return "{" + placeholder(node) + "}"


def placeholder(node: ast.expr) -> str:
    """What an expression stands for, in a word or two."""
    if isinstance(node, ast.Name | ast.Attribute):
        return ast.unparse(node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len":
        return f"number of {placeholder(node.args[0])}"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        # A method of what matters, or a separator that joins it.
        joins = isinstance(node.func.value, ast.Constant)
        return placeholder(node.args[0] if joins else node.func.value)
    inner: list[ast.expr] = node.args[:1] if isinstance(node, ast.Call) else []
    inner += [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)]
    names = [placeholder(each) for each in inner if not isinstance(each, ast.Constant)]
    return next((name for name in names if name), "")


def is_text(node: ast.expr) -> bool:
    """Whether an expression is a string as far as can be seen."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.IfExp):
        return is_text(node.body) and is_text(node.orelse)
    return isinstance(node, ast.JoinedStr)


def collect(root: Path = ROOT) -> list[Message]:
    """All messages of the code, by file and in the order of the source."""
    found: list[Message] = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            found += messages_of(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix())
    return found


def messages_of(source: str, file: str) -> list[Message]:
    """All messages of one module."""
    visitor = Templates(file)
    visitor.visit(ast.parse(source))
    # A function inside a function is walked within it only; the order of the source is that of the lines.
    return sorted(dict.fromkeys(visitor.found), key=lambda message: message.line)


def render(messages: list[Message]) -> str:
    """The page."""
    return "\n".join([HEAD, *_tables(messages)])


def _tables(messages: list[Message]) -> Iterator[str]:
    for file in dict.fromkeys(message.file for message in messages):
        yield f"## {file}\n"
        yield "| what | where | mend |\n|---|---|---|"
        rows = [tuple(map(_cell, (each.what, each.where, each.mend))) for each in messages if each.file == file]
        yield from ("| " + " | ".join(row) + " |" for row in dict.fromkeys(rows))
        yield ""


def _cell(text: str) -> str:
    flat = textwrap.dedent(text).strip().replace("\n", " ")
    return flat.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(render(collect()), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
