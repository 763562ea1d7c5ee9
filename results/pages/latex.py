"""The tables of a page in LaTeX, for papers. The file needs the packages booktabs and textcomp."""

from __future__ import annotations

import re
import unicodedata

from results.pages.model import Caption, Page, Table

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "-": r"{-}",
}
_SPECIAL = re.compile("|".join(re.escape(character) for character in _ESCAPES))


def escape(text: str) -> str:
    """Any text as one line that LaTeX sets as it is: nothing in it is a command, comment, ligature or argument."""
    line = "".join(" " if unicodedata.category(each) in ("Cc", "Cs", "Cf", "Zl", "Zp") else each for each in text)
    return _SPECIAL.sub(lambda match: _ESCAPES[match.group()], " ".join(line.split()))


def to_latex(page: Page) -> str:
    """All tables of a page, each a float with its caption."""
    head = "% \\usepackage{booktabs,textcomp}\n"
    tables = [
        _table(section.heading, table)
        for group in page.groups
        for section in group.sections
        for table in section.tables
    ]
    return head + "\n".join(tables)


def _table(heading: str, table: Table) -> str:
    title = heading + (f", {table.heading}" if table.heading else "")
    if table.profile != "full":
        title += f" ({table.profile} profile: no results)"
    lines = [
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{escape(title)}. {_caption(table.caption)}}}",
        f"\\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
        "\\toprule",
        _row(table.header),
        "\\midrule",
        *(_row((row.name.title, *row.texts())) for row in table.rows),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    # Without braces a row that begins with a bracket would be an argument of the line's end before it.
    return " & ".join(f"{{{escape(cell)}}}" for cell in cells) + r" \\"


def _caption(caption: Caption) -> str:
    parts = [
        f"Protocol {caption.protocol}, version {caption.version}, hash {caption.hash[:12]}",
        f"data {caption.data}",
    ]
    if caption.nonstandard:
        parts.append("non-standard data: " + " ".join(caption.nonstandard))
    if caption.modified:
        parts.append("modified: " + ", ".join(caption.modified))
    parts += [f"seeds {', '.join(map(str, measured))}" for measured, _ in caption.seeds]
    return escape("; ".join(parts)) + "."
