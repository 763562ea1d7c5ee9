"""The program: every verb in one place, and errors as people want to read them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from harness import __version__
from harness.cli import data
from harness.cli.cancel import cancel
from harness.cli.clean import clean
from harness.cli.compare import compare
from harness.cli.doctor import doctor
from harness.cli.init import init
from harness.cli.inspect import inspect
from harness.cli.list import app as list_app
from harness.cli.logs import logs
from harness.cli.plan import plan
from harness.cli.pretrain import pretrain
from harness.cli.report import report
from harness.cli.run import run
from harness.cli.status import status
from results.errors import HarnessError

app = typer.Typer(
    name="harness",
    help="How well does a pretrained ResNet-50 transfer? One command from a checkpoint to a model-zoo page.",
    epilog="Example: python -m harness run --ckpt simclr.pth --suite all",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for verb in (run, plan, pretrain, status, logs, cancel, report, compare, clean, inspect, init, doctor):
    app.command()(verb)
app.add_typer(list_app, name="list")
app.add_typer(data.app, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"harness {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line; a user's mistake ends it with status 2 and no traceback."""
    try:
        app()
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
