"""What holds for all tests."""

from __future__ import annotations

import os

from results.files import use_umask


def pytest_configure() -> None:
    # Under a umask of 002, which many have, tests would make files that others may write, and these are refused.
    use_umask("readable")
    # Nobody's own settings may change what is tested.
    os.environ["XDG_CONFIG_HOME"] = os.devnull
