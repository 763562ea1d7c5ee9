"""Options that several verbs share. None stands for a flag that was not given: ``harness.yaml`` may say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.settings import Settings
    from results.entries import LeftOut
    from results.workspace import Workspace

Checkpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--ckpt",
        help="Checkpoint file, quoted pattern ('runs/*/epoch_*.pth'), hf://OWNER/NAME, timm:NAME, or random:SEED "
        "(untrained). Repeat for several.",
    ),
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="Name of the row; one for each --ckpt. Default: the file's name.")
]
Suite = Annotated[
    str | None,
    typer.Option(
        "--suite", help="all, classification, detection, segmentation, or NAME\\[@VARIANT], joined by commas."
    ),
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", help="full: the published protocol. smoke: minutes, only shows that it works."),
]
Data = Annotated[Path | None, typer.Option("--data", help="Folder that holds the data sets. Default: data.")]
WorkspaceRoot = Annotated[
    Path | None, typer.Option("--workspace", help="Folder of all results and pages. Default: work_dirs.")
]
ExecutorName = Annotated[
    str | None,
    typer.Option(
        "--executor", help="auto, slurm (a cluster), local (a process a job here) or debug (in this process)."
    ),
]
Seeds = Annotated[int | None, typer.Option("--seeds", help="Run seeds 0 to N-1 where a benchmark is random.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="BENCHMARK.field=value: replace a field of a protocol; marked as modified."),
]
Cache = Annotated[
    str | None,
    typer.Option(
        "--cache",
        help="reuse: run what is missing. retry: also what failed too often. force: everything anew. "
        "read-only: run nothing, exit 1 if anything is missing.",
    ),
]
NumericsText = Annotated[
    str | None,
    typer.Option(
        "--numerics",
        help="precision=fp32|bf16|amp,channels_last=BOOL,compile=BOOL,folded=BOOL; part of the job key.",
    ),
]
InputName = Annotated[
    str | None, typer.Option("--input", help="Input convention of the backbone: rgb-mean-std, rgb-unit, bgr-mean.")
]
Encoder = Annotated[
    str | None,
    typer.Option("--encoder", help="Which of several networks in the file: query, key, teacher... See `inspect`."),
]
Trust = Annotated[
    bool | None,
    typer.Option("--trust", help="Read a file whose pickle names more than plain types; none of it is run."),
]
AllowMissing = Annotated[
    bool | None, typer.Option("--allow-missing-data", help="Leave out benchmarks whose data is not there.")
]
AllowNonstandard = Annotated[
    bool | None,
    typer.Option("--allow-nonstandard-data", help="Accept data whose counts are not the official ones."),
]
Detach = Annotated[
    bool, typer.Option("--detach", help="On a cluster: submit everything and end; the cluster goes on by itself.")
]
Meta = Annotated[
    Path | None,
    typer.Option("--meta", help="Metadata file for model-zoo pages: paper, links, labels. `init` writes an example."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only errors.")]


def workspace_of(flag: Path | None) -> Workspace:
    """The workspace that the flag, the environment or ``harness.yaml`` names.

    Files are made from now on as the setting ``readers`` says.
    """
    from harness.settings import load_settings
    from results.files import use_umask
    from results.workspace import Workspace

    settings = load_settings({"workspace": flag})
    use_umask(settings.readers)
    return Workspace(settings.workspace)


def meta_of(flag: Path | None) -> Path | None:
    """The metadata file that the flag, the environment or ``harness.yaml`` names."""
    from harness.settings import load_settings

    return load_settings({"meta": flag}).meta


def tell_left_out(left_out: Sequence[LeftOut]) -> None:
    """Names on standard error the files that could not be used."""
    from harness.cli.console import make_console

    console = make_console(stderr=True)
    for each in left_out:
        console.print(f"left out: {each.path}: {each.reason}", style="red", markup=False, highlight=False)


def data_root_of(flag: Path | None) -> Path:
    """The data root that the flag, the environment or ``harness.yaml`` names."""
    from harness.settings import load_settings

    return load_settings({"data": flag}).data


def run_settings_of(flags: Mapping[str, Any]) -> Settings:
    """As :func:`settings_of`, with the files in place of patterns of checkpoints.

    Raises:
        HarnessError: As there; a pattern matches no file.
    """
    from harness.checkpoint.patterns import expanded_checkpoints

    settings = settings_of(flags)
    return settings.model_copy(update={"ckpt": expanded_checkpoints(settings.ckpt)})


def settings_of(flags: Mapping[str, Any]) -> Settings:
    """Settings out of a verb's arguments (its ``locals()``), the environment and ``harness.yaml``.

    Files are made from now on as the setting ``readers`` says; data sets are made by verbs that do not come here.

    Raises:
        HarnessError: An unknown setting or a value that does not fit.
    """
    from harness.settings import Settings, load_settings, parse_numerics
    from results.files import use_umask

    # An argument that would hide a builtin bears an underscore at its end.
    given = {name.rstrip("_"): value for name, value in flags.items()}
    given["numerics"] = parse_numerics(given.get("numerics"))
    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    settings = load_settings({name: value for name, value in tuples.items() if name in Settings.model_fields})
    use_umask(settings.readers)
    return settings
