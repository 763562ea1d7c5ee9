"""A tar with one checkpoint in it, read where it lies."""

from __future__ import annotations

import tarfile
from typing import BinaryIO

from harness.checkpoint.signature import printable
from harness.checkpoint.stored import DamagedError

MOST_MEMBERS = 1000
OLD_TORCH = {"sys_info", "pickle", "storages", "tensors"}
"""Members of what torch wrote before 0.1.10 (``torch/serialization.py``, ``legacy_load``)."""


def open_tar(stream: BinaryIO, size: int) -> tuple[BinaryIO, int]:
    """Finds the only file of a tar.

    Args:
        stream: The file.
        size: Its length in bytes.

    Returns:
        A stream of that file, and its length.

    Raises:
        DamagedError: It holds several files or none, or links, devices, or names that lead out of a folder.
    """
    stream.seek(0)
    archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - its member is read later
    files = []
    seen = 0
    while (member := archive.next()) is not None:
        seen += 1
        if seen > MOST_MEMBERS:
            raise DamagedError(f"the tar has more than {MOST_MEMBERS} members")
        name = printable(member.name)
        if member.name.startswith(("/", "\\")) or ".." in member.name.replace("\\", "/").split("/"):
            raise DamagedError(f"member {name} of the tar leads out of it")
        if member.isdir():
            continue
        if not member.isfile() or member.issparse():
            raise DamagedError(f"member {name} of the tar is no plain file")
        if member.offset_data + member.size > size:
            raise DamagedError(f"the tar ends inside {name}")
        files.append(member)
    names = {member.name for member in files}
    if names >= OLD_TORCH:
        raise DamagedError("torch before 0.1.10 wrote it: load and save it again with a newer torch")
    if len(files) != 1:
        listing = ", ".join(printable(name) for name in sorted(names)[:5])
        raise DamagedError(f"the tar holds {len(files)} files ({listing}): unpack it and give the checkpoint in it")
    found = archive.extractfile(files[0])
    if found is None:
        raise DamagedError("the file in the tar cannot be read")
    return found, files[0].size  # type: ignore[return-value]
