"""Zip archives, read without trusting what they say about themselves."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import BinaryIO

from harness.checkpoint.containers.base import exactly
from harness.checkpoint.signature import printable
from harness.checkpoint.stored import DamagedError

MOST_EXPANSION = 8
"""Weights compress by a tenth; a file that grows more than this when it is unpacked is a bomb."""

SMALL = 2**20
"""Bytes that may come out of any archive: a fresh batch norm compresses very well."""

LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Signature, then the lengths of name and extra field (APPNOTE.TXT 4.3.7)."""

_ENCRYPTED = 0x1


class Archive:
    """The entries of a zip.

    Args:
        stream: The file.
        size: Its length in bytes.

    Raises:
        DamagedError: Its table of contents is missing, or it is built to deceive: entries that overlap, appear twice,
            lead out of a folder, or are encrypted.
    """

    def __init__(self, stream: BinaryIO, size: int) -> None:
        try:
            self._zip = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DamagedError("its table of contents is missing") from error
        self._stream = stream
        entries = sorted(self._zip.infolist(), key=lambda entry: entry.header_offset)
        end = 0
        for entry in entries:
            _refuse_tricks(entry)
            if entry.header_offset < end:
                raise DamagedError(f"entries overlap at {printable(entry.filename)}")
            end = entry.header_offset + LOCAL_HEADER.size + entry.compress_size
        if end > size:
            raise DamagedError("it ends inside an entry")
        self._most = MOST_EXPANSION * size + SMALL
        self._entries = {entry.filename: entry for entry in entries}
        if len(self._entries) != len(entries):
            raise DamagedError("two entries have the same name")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entries, as they lie in the file."""
        return tuple(self._entries)

    def size_of(self, name: str) -> int:
        """Bytes of an entry, unpacked."""
        return self._entry(name).file_size

    def head(self, name: str, count: int) -> bytes:
        """The first bytes of an entry, unchecked."""
        entry = self._entry(name)
        if entry.compress_type == zipfile.ZIP_STORED:
            return exactly(self._stream, self._begin(entry), min(count, entry.file_size))
        with self._zip.open(entry) as stream:
            return stream.read(count)

    def read(self, name: str) -> bytes:
        """An entry, compared with its checksum.

        torch writes zeros for checksums under ``torch.serialization.set_crc32_options(False)``; those say nothing.

        Raises:
            DamagedError: There is no such entry, it expands beyond measure, or it does not match its checksum.
        """
        entry = self._entry(name)
        if entry.file_size > self._most:
            raise DamagedError(f"entry {printable(name)} expands to more than {MOST_EXPANSION} times the file")
        try:
            if entry.compress_type == zipfile.ZIP_STORED:
                data = exactly(self._stream, self._begin(entry), entry.file_size)
                if entry.CRC not in (0, zlib.crc32(data)):
                    raise zipfile.BadZipFile("checksum")
                return data
            return self._zip.read(entry)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DamagedError(f"entry {printable(name)} does not match its checksum") from error

    def _entry(self, name: str) -> zipfile.ZipInfo:
        if name not in self._entries:
            raise DamagedError(f"entry {printable(name)} is missing")
        return self._entries[name]

    def _begin(self, entry: zipfile.ZipInfo) -> int:
        header = exactly(self._stream, entry.header_offset, LOCAL_HEADER.size)
        signature, name, extra = LOCAL_HEADER.unpack(header)
        if signature != b"PK\x03\x04":
            raise DamagedError(f"entry {printable(entry.filename)} is not where the table of contents says")
        return int(entry.header_offset + LOCAL_HEADER.size + name + extra)


def _refuse_tricks(entry: zipfile.ZipInfo) -> None:
    name = printable(entry.filename)
    parts = entry.filename.replace("\\", "/").split("/")
    if ".." in parts or entry.filename.startswith(("/", "\\")) or parts[0].endswith(":"):
        raise DamagedError(f"entry {name} leads out of the archive")
    if entry.flag_bits & _ENCRYPTED:
        raise DamagedError(f"entry {name} is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DamagedError(f"entry {name} is compressed in a way that no checkpoint is")
    if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
        raise DamagedError(f"entry {name} has two lengths")
