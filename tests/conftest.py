"""What holds for all tests."""

from __future__ import annotations

from results.files import use_umask


def pytest_configure() -> None:
    # Under a umask of 002, which many have, tests would make files that others may write, and these are refused.
    use_umask("readable")
