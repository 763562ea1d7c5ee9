"""What holds for all tests."""

from __future__ import annotations

from results.files import use_umask


def pytest_configure() -> None:
    # As the command line does. Under a umask of 002 the tests would make files that others may write, which are refused.
    use_umask("readable")
