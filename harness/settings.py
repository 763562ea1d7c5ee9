"""One validated set of settings: flags win over the environment, that over the project's file, that over the user's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import pydantic
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from benchmarks.base import PRECISIONS, Numerics
from harness.schedule.slurm.settings import SlurmSettings
from results.errors import HarnessError, did_you_mean
from results.record import sha256_of

SETTINGS_FILE = "harness.yaml"
ENVIRONMENT_PREFIX = "HARNESS_"


class NumericsSettings(pydantic.BaseModel):
    """How networks are computed; see :class:`benchmarks.base.Numerics`.

    Args:
        precision: ``bf16`` and ``amp`` (float16 on a GPU, bfloat16 on a CPU) are autocast.
        channels_last: Memory format of the network and its input.
        compile: Whether ``torch.compile`` is used on the backbone.
        folded: Whether batch norms are multiplied into the convolutions where features are extracted.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    precision: Literal["fp32", "bf16", "amp"] = "fp32"
    channels_last: bool = False
    compile: bool = False
    folded: bool = False

    def numerics(self, folds: bool) -> Numerics:
        """Those of a job.

        Args:
            folds: Whether it uses extracted features. Elsewhere nothing is folded, and the key does not say so.
        """
        return Numerics(self.precision, self.channels_last, self.compile, self.folded and folds)


class Settings(BaseSettings):
    """What a run is asked to do.

    Every field may stand in ``harness.yaml`` of the user (:func:`user_settings_file`) or of the current folder, in the
    environment as ``HARNESS_<FIELD>``, or be a flag.

    Args:
        ckpt: Checkpoints: files, patterns of files, ``hf://OWNER/NAME``, ``timm:NAME``, or ``random:SEED`` (untrained).
        label: Names of the rows, one for each checkpoint; without any, the names of the files.
        suite: ``all``, ``classification``, ``detection``, ``segmentation``, or names of benchmarks, joined by commas.
        profile: ``full`` is the published protocol; ``smoke`` takes minutes and only shows that it works.
        data: Folder that holds the data sets.
        workspace: Folder of all results and pages; on a cluster on a disk that all nodes see.
        executor: ``auto`` is ``slurm`` where its controller answers, else ``local``; ``debug`` runs in one process.
        seeds: Runs the seeds 0 to N-1 where a benchmark is random.
        set: Fields of protocols that are replaced, each as ``BENCHMARK.field=value``; marked as modified.
        cache: ``reuse`` runs what is missing; ``retry`` also what failed too often; ``force`` everything anew;
            ``read-only`` nothing.
        numerics: How networks are computed; part of a job's key, and numbers of other numerics stand in another table.
        input: Input convention of the backbone (``rgb-mean-std``, ``rgb-unit``, ``bgr-mean``); None for that of the
            checkpoint's format.
        encoder: Which of several networks in a file; None for the publisher's default.
        trust: Reads a file whose pickle names more than plain types; none of it is run.
        allow_missing_data: Leaves out benchmarks whose data is not there.
        allow_nonstandard_data: Accepts data whose counts are not the official ones.
        slots: Jobs at a time on this host; None for as many as GPUs, or one.
        ranks: Most processes, and GPUs, that one job is spread over.
        largest_batch: Most images that one process computes at a time; None for any number.
        max_failures: Attempts of a job before it is given up.
        device: ``cpu`` leaves GPUs alone, and asks a cluster for none.
        hang_minutes: An attempt that writes nothing for so long is ended, and counts as failed.
        meta: Metadata file for model-zoo pages: paper, links, labels. None draws the pages of labels only.
        readers: ``private``: nobody else may read the workspace; ``readable``: others may.
        slurm: What jobs ask of a cluster.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=ENVIRONMENT_PREFIX)

    ckpt: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    suite: str = "all"
    profile: Literal["full", "smoke"] = "full"
    data: Path = Path("data")
    workspace: Path = Path("work_dirs")
    executor: Literal["auto", "slurm", "local", "debug"] = "auto"
    seeds: int = pydantic.Field(default=1, ge=1, le=1000)
    set: tuple[str, ...] = ()
    cache: Literal["reuse", "retry", "force", "read-only"] = "reuse"
    numerics: NumericsSettings = NumericsSettings()
    input: str | None = None
    encoder: str | None = None
    trust: bool = False
    allow_missing_data: bool = False
    allow_nonstandard_data: bool = False
    meta: Path | None = None
    slots: int | None = pydantic.Field(default=None, ge=1)
    ranks: int = pydantic.Field(default=1, ge=1, le=1024)
    largest_batch: int | None = pydantic.Field(default=None, ge=1)
    max_failures: int = pydantic.Field(default=3, ge=1)
    device: Literal["auto", "cpu"] = "auto"
    hang_minutes: float = pydantic.Field(default=120, gt=0)
    readers: Literal["private", "readable"] = "private"
    slurm: SlurmSettings = SlurmSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, *(_FileSource(settings_cls, path) for path in settings_files())

    def digest(self) -> str:
        """sha256 over all settings, for the run's file."""
        return sha256_of(self.model_dump(mode="json"))


class _FileSource(YamlConfigSettingsSource):
    """One file; what is wrong with it is said with its name."""

    def __init__(self, settings_cls: type[BaseSettings], path: Path) -> None:
        import yaml

        try:
            super().__init__(settings_cls, yaml_file=path, yaml_file_encoding="utf-8")
        except (yaml.YAMLError, OSError, UnicodeDecodeError, ValueError, TypeError) as error:
            raise HarnessError(f"cannot read the settings: {error}", str(path), "correct it or remove it") from error


def user_settings_file() -> Path | None:
    """The file that holds for all folders of a user: ``$XDG_CONFIG_HOME/harness/harness.yaml``.

    As the XDG Base Directory Specification 0.8 says, the variable stands for ``~/.config`` where it is not set or no
    absolute path. None for a user without a home.
    """
    named = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    try:
        folder = named if named.is_absolute() else Path.home() / ".config"
    except RuntimeError:
        return None
    return folder / "harness" / SETTINGS_FILE


def settings_files() -> tuple[Path, ...]:
    """The settings files that there are; the earlier one wins."""
    user = user_settings_file()
    return tuple(path for path in (Path.cwd() / SETTINGS_FILE, user) if path is not None and os.path.isfile(path))


def load_settings(flags: Mapping[str, Any]) -> Settings:
    """Merges flags, environment, and ``harness.yaml`` of the current folder and of the user.

    Args:
        flags: Values of the flags; None stands for a flag that was not given.

    Raises:
        HarnessError: An unknown setting or a value that does not fit, whatever brought it.
    """
    from pydantic_settings import SettingsError

    _refuse_unknown_variables()
    given = {name: value for name, value in flags.items() if value is not None and value != ()}
    try:
        return Settings(**given)
    except pydantic.ValidationError as error:
        raise _explain(error, given) from error
    except SettingsError as error:
        names = [name for name in Settings.model_fields if f'"{name}"' in str(error)]
        raise HarnessError(
            "a setting is not readable",
            "environment variable " + ", ".join(_variable(name) for name in names),
            "lists and tables are JSON there, for example HARNESS_CKPT='[\"a.pth\"]'",
        ) from error


def restore_settings(raw: Mapping[str, Any]) -> Settings:
    """Settings as a run had them, whatever environment and ``harness.yaml`` say by now.

    Args:
        raw: What ``model_dump(mode="json")`` gave.

    Raises:
        ValueError: A value does not fit.
    """
    values = {
        name: pydantic.TypeAdapter(cast(Any, field.annotation)).validate_python(raw[name])
        for name, field in Settings.model_fields.items()
        if name in raw
    }
    return Settings.model_construct(**values)


def _variable(name: str) -> str:
    return f"{ENVIRONMENT_PREFIX}{name.upper()}"


def _refuse_unknown_variables() -> None:
    """A misspelt variable would be ignored, and something else measured than what was meant."""
    known = {_variable(name) for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known:
            raise HarnessError(
                f"there is no setting for the environment variable {name}", "environment", did_you_mean(name, known)
            )


def _explain(error: pydantic.ValidationError, flags: Mapping[str, Any]) -> HarnessError:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    field = ".".join(str(part) for part in first["loc"])
    if name in flags:
        where = f"--{name.replace('_', '-')}"
    elif _variable(name) in os.environ:
        where = f"environment variable {_variable(name)}"
    else:
        where = str(_file_with(first["loc"]))
    if first["type"] == "extra_forbidden":
        return HarnessError(f"there is no setting '{field}'", where, did_you_mean(name, Settings.model_fields))
    return HarnessError(f"'{field}' cannot be {first['input']!r}", where, first["msg"])


def _file_with(place: tuple[int | str, ...]) -> Path:
    """The settings file that a value was read from: the first that holds it, or else as much of its place as any."""

    def depth(path: Path) -> int:
        value: Any = _FileSource(Settings, path)()
        for count, part in enumerate(place):
            if not isinstance(value, Mapping) or part not in value:
                return count
            value = value[part]
        return len(place)

    return max(settings_files(), key=depth, default=Path(SETTINGS_FILE))


def parse_numerics(text: str | None) -> dict[str, Any] | None:
    """Reads ``precision=bf16,channels_last=true``.

    Raises:
        HarnessError: An unknown name or a value that does not fit.
    """
    if text is None:
        return None
    values: dict[str, Any] = {}
    for part in (word.strip() for word in text.split(",") if word.strip()):
        name, _, value = part.partition("=")
        if name not in NumericsSettings.model_fields:
            raise HarnessError(
                f"unknown part of the numerics '{name}'",
                "--numerics",
                did_you_mean(name, NumericsSettings.model_fields),
            )
        if name == "precision" and value not in PRECISIONS:
            raise HarnessError(f"unknown precision '{value}'", "--numerics", did_you_mean(value, PRECISIONS))
        if name != "precision" and value.lower() not in ("true", "false"):
            raise HarnessError(f"{name} cannot be '{value}'", "--numerics", f"write {name}=true or {name}=false")
        values[name] = value if name == "precision" else value.lower() == "true"
    return values


def parse_overrides(texts: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Reads ``BENCHMARK.field=value``; values are JSON, anything else is text.

    Returns:
        Fields and values by benchmark.

    Raises:
        HarnessError: Not of that form.
    """
    overrides: dict[str, dict[str, Any]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        benchmark, dot, field = target.partition(".")
        if not (equals and dot and benchmark and field):
            raise HarnessError(f"cannot read '{text}'", "--set", "write --set BENCHMARK.field=value")
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
        overrides.setdefault(benchmark, {})[field] = parsed
    return overrides
