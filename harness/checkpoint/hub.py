"""Checkpoints on the Hugging Face hub: ``hf://OWNER/NAME[/FILE][@REVISION]`` and ``timm:NAME``.

The file is fetched by huggingface_hub into its own cache and read like any other: by intake, never by transformers or
timm. Nothing is fetched unless the user names a checkpoint so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from harness.checkpoint.signature import printable
from results.errors import HarnessError

HF = "hf://"
TIMM = "timm:"
PREFERRED = ("model.safetensors", "pytorch_model.bin")
"""What transformers and timm call the weights of a repository."""

WEIGHTS = (".safetensors", ".bin", ".pth", ".pt", ".th", ".torch", ".ckpt", ".pkl", ".npz", ".tar", ".pyth")
CONFIG = "config.json"
_NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(/(?P<file>[^@]+))?(@(?P<revision>[\w./-]+))?")


@dataclasses.dataclass(frozen=True)
class Fetched:
    """A file of the hub on this machine.

    Args:
        path: In the cache of huggingface_hub, with the repository's ``config.json`` beside it where there is one.
        source: ``hf://OWNER/NAME/FILE@COMMIT``, which will always be the same file.
    """

    path: Path
    source: str


def on_hub(checkpoint: str) -> bool:
    """Whether a checkpoint is named by its place on the hub."""
    return checkpoint.startswith((HF, TIMM))


def short_name(checkpoint: str) -> str:
    """The last part of a repository's name, for labels."""
    return checkpoint.removeprefix(HF).removeprefix(TIMM).partition("@")[0].split("/")[:2][-1]


@functools.cache
def fetch(checkpoint: str) -> Fetched:
    """Brings a file of the hub onto this machine; asks the hub once a process.

    Args:
        checkpoint: ``hf://...`` or ``timm:...``.

    Raises:
        HarnessError: The name cannot be read, there is no such file, or the hub cannot be reached.
    """
    where = printable(checkpoint)
    name = checkpoint.removeprefix(HF) if checkpoint.startswith(HF) else _timm_repository(checkpoint, where)
    match = _NAME.fullmatch(name)
    if match is None:
        raise HarnessError("cannot read this name", where, "write hf://OWNER/NAME[/FILE][@REVISION] or timm:NAME.TAG")
    repository, file, revision = match["repository"], match["file"], match["revision"]
    hub = _library(where)
    with _explained(hub, where):
        inside, path = _download(hub, repository, file, revision, where)
    # The cache keeps .../snapshots/COMMIT/FILE.
    commit = path.parents[len(PurePosixPath(inside).parts) - 1].name
    return Fetched(path, f"{HF}{repository}/{inside}@{commit[:12]}")


def _download(hub: Any, repository: str, file: str | None, revision: str | None, where: str) -> tuple[str, Path]:
    """Name in the repository, and place in the cache."""

    def get(name: str) -> Path:
        return Path(hub.hf_hub_download(repository, name, revision=revision))

    missing = hub.errors.EntryNotFoundError
    found = None
    for name in [file] if file is not None else PREFERRED:
        with contextlib.suppress(*(() if file is not None else (missing,))):
            found = name, get(name)
            break
    if found is None:
        siblings = hub.HfApi().model_info(repository, revision=revision).siblings or []
        names = sorted(each.rfilename for each in siblings if each.rfilename.endswith(WEIGHTS))
        if len(names) != 1:
            listing = ", ".join(printable(name) for name in names[:12]) or "none"
            raise HarnessError(
                f"the repository has {len(names)} files that may be the checkpoint: {listing}",
                where,
                f"name one: hf://{repository}/FILE",
            )
        found = names[0], get(names[0])
    with contextlib.suppress(missing):
        get(str(PurePosixPath(found[0]).with_name(CONFIG)))
    return found


def _library(where: str) -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
        from huggingface_hub import HfApi, hf_hub_download  # noqa: F401 - imported lazily by the library
    except ImportError as error:
        raise HarnessError(
            f"huggingface_hub cannot be imported: {error}",
            where,
            "python -m pip install huggingface_hub, or download the file and give its path",
        ) from error
    return huggingface_hub


@contextlib.contextmanager
def _explained(hub: Any, where: str) -> Iterator[None]:
    """Turns the library's errors into refusals."""
    errors = hub.errors
    try:
        yield
    except HarnessError:
        raise
    except errors.LocalEntryNotFoundError as error:
        raise HarnessError(
            "the hub cannot be reached, and the file is not in its cache",
            where,
            "check the connection (and HF_ENDPOINT, HF_HUB_OFFLINE), or give the path of a file",
        ) from error
    except errors.GatedRepoError as error:
        raise HarnessError(
            "the repository asks for an agreement or a login", where, "accept it on its page and run `hf auth login`"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        kind = {"R": "repository", "E": "file"}[type(error).__name__.removeprefix("Remote")[0]]
        what = "revision" if isinstance(error, errors.RevisionNotFoundError) else kind
        raise HarnessError(f"the hub has no such {what}", where, "check the name on the hub's page") from error
    # The library lets errors of the connection, of the disk and of its own through.
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = printable(lines[0])[:200] if lines else type(error).__name__
        raise HarnessError(
            f"the file cannot be fetched: {reason}", where, "download it by other means and give its path"
        ) from error


def _timm_repository(checkpoint: str, where: str) -> str:
    """The repository of a timm name; without a tag, timm itself knows which is the default."""
    name = checkpoint.removeprefix(TIMM)
    if "." in name or not name:
        return f"timm/{name}"
    try:
        import timm
    except ImportError as error:
        raise HarnessError(
            "the name has no tag, and timm, which knows the default one, is not installed",
            where,
            f"give the tag (timm:{printable(name)}.a1_in1k), or python -m pip install timm",
        ) from error
    found = timm.get_pretrained_cfg(name, allow_unregistered=True) if timm.is_model(name) else None
    if found is None or not found.hf_hub_id:
        raise HarnessError("timm has no weights of this name on the hub", where, "see timm.list_pretrained()")
    return str(found.hf_hub_id)
