from __future__ import annotations

import functools

import pytest

from harness.doctor.findings import ASK, Finding, look, name_of, ok
from results.errors import HarnessError


def test_a_check_that_finds_one_thing_or_several() -> None:
    assert look("x", lambda: ok("x", "fine")) == (Finding("x", "ok", "fine"),)
    assert look("x", lambda: (ok("a", "fine"), ok("b", "fine"))) == (ok("a", "fine"), ok("b", "fine"))


def test_a_refusal_is_an_error_with_its_mend() -> None:
    def check() -> Finding:
        raise HarnessError("it is broken", "there", "mend it")

    assert look("x", check) == (Finding("x", "error", "it is broken (there)", "mend it"),)


def test_whatever_a_check_raises_is_an_error_and_no_crash() -> None:
    def check() -> Finding:
        raise ZeroDivisionError("first line\nsecond line")

    (found,) = look("x", check)
    assert (found.name, found.state) == ("x", "error")
    assert found.what == "the check failed: ZeroDivisionError: first line"
    assert "report" in found.mend


def test_what_the_disk_refuses_is_an_error_with_its_path() -> None:
    def check() -> Finding:
        raise PermissionError(13, "Permission denied", "/data")

    (found,) = look("x", check)
    assert (found.state, found.what) == ("error", "[Errno 13] Permission denied: '/data'")


@pytest.mark.parametrize(
    ("mend", "left"),
    [
        ("python -m harness doctor shows what SLURM answers; scontrol ping tells it", "scontrol ping tells it"),
        ("correct the settings; python -m harness doctor shows what there is", "correct the settings"),
        ("python -m harness doctor", ASK),
    ],
)
def test_the_doctor_sends_nobody_to_the_doctor(mend: str, left: str) -> None:
    def check() -> Finding:
        raise HarnessError("sinfo failed", "SLURM", mend)

    assert look("x", check)[0].mend == left


def test_what_commands_say_over_several_lines_is_one_line() -> None:
    assert ok("x", "sinfo failed:\n  no controller\n").what == "sinfo failed: no controller"


def test_a_check_is_called_as_its_function() -> None:
    def hard_links(place: str) -> Finding:
        return ok("hard links", place)

    assert name_of(functools.partial(hard_links, "here")) == "hard links"
