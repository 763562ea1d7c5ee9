from __future__ import annotations

import dataclasses
import subprocess
import sys
import time

from harness.process import ProcessIdentity


def identity_of_child() -> tuple[subprocess.Popen[str], ProcessIdentity]:
    code = (
        "import dataclasses, json, sys; from harness.process import ProcessIdentity; "
        "print(json.dumps(dataclasses.asdict(ProcessIdentity.current())), flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    import json

    return child, ProcessIdentity.from_dict(json.loads(child.stdout.readline()))


def test_a_process_is_alive_until_it_ends() -> None:
    child, identity = identity_of_child()
    assert identity.is_alive() is True
    child.kill()
    # Not waited for: a zombie does no work and counts as dead.
    deadline = time.monotonic() + 10
    while identity.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert identity.is_alive() is False
    child.communicate()
    assert identity.is_alive() is False


def test_a_reused_pid_is_another_process() -> None:
    mine = ProcessIdentity.current()
    assert mine.is_alive() is True
    assert dataclasses.replace(mine, start=mine.start - 1).is_alive() is False


def test_after_a_reboot_everything_is_dead() -> None:
    assert dataclasses.replace(ProcessIdentity.current(), boot="another").is_alive() is False


def test_other_hosts_and_containers_cannot_be_judged() -> None:
    mine = ProcessIdentity.current()
    assert dataclasses.replace(mine, host="elsewhere").is_alive() is None
    assert dataclasses.replace(mine, namespace="pid:[1]").is_alive() is None
