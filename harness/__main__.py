"""``python -m harness``."""

from __future__ import annotations

from harness.startup import refuse_mixed_installation


def main() -> None:
    """Checks the installation, then hands over to the command line."""
    refuse_mixed_installation()
    from harness.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
