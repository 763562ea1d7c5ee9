"""Every error message says what mends it, and stands in ``docs/errors.md``."""

from __future__ import annotations

from tests.list_errors import COMMAND, PACKAGES, PAGE, ROOT, Message, collect, messages_of, render

MESSAGES = collect()


def place(message: Message) -> str:
    return f"{message.file}:{message.line} {message.what}"


def test_the_page_is_that_of_the_source() -> None:
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    assert written == render(MESSAGES), f"docs/errors.md is out of date: run `{COMMAND}` and read what changed"


def test_every_error_says_what_mends_it() -> None:
    assert [place(message) for message in MESSAGES if not message.mend.strip()] == []


def test_every_error_says_where() -> None:
    """In its second part, or with a flag or a file's name in the first."""
    silent = [message for message in MESSAGES if not message.where.strip()]
    assert [place(message) for message in silent if "--" not in message.what and "{" not in message.what] == []


def test_what_is_wrong_is_one_sentence_without_a_full_stop() -> None:
    bad = [message for message in MESSAGES if message.what.rstrip().endswith(".") or not message.what.strip()]
    assert [place(message) for message in bad] == []


def test_no_error_is_missed() -> None:
    """Counted in another way: as text."""
    text = "".join(path.read_text(encoding="utf-8") for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    made = text.count("HarnessError(") - text.count("class HarnessError(")
    assert len(MESSAGES) == made
    assert made > 50


def test_templates_are_read_as_a_person_would() -> None:
    source = """
LIMIT = "a constant"
def outer(name, count):
    mend = f"run again with {name!r}"
    raise HarnessError(f"{len(count)} of {LIMIT}" + f" are {', '.join(gone[:3])}", where=str(name), mend=mend)
def helper(path):
    return HarnessError("one" if path else "other", "", did_you_mean(path, []))
"""
    assert messages_of(source, "x.py") == [
        Message("x.py", 5, "{number of count} of a constant are {gone}", "{name}", "run again with {name}"),
        Message("x.py", 7, "one / other", "", "{did you mean ...? valid: ...}"),
    ]
