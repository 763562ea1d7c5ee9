"""Protocols: the facts that define a number, as a frozen table of fields, each with its source."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from results.errors import HarnessError, did_you_mean
from results.record import ProtocolStamp, sha256_of

PROFILES = ("full", "smoke")


@dataclasses.dataclass(frozen=True)
class Field:
    """One fact of a protocol.

    Args:
        value: A JSON value; sequences are tuples.
        source: Paper, or file of the reference implementation, that says so.
    """

    value: Any
    source: str


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A benchmark's hyper-parameters.

    Args:
        name: Name of the benchmark, with ``@variant`` where it is one.
        version: Grows when the meaning of the table changes in a way that its fields do not show.
        fields: The table.
        profile: ``full``, or ``smoke`` for a run that only shows that everything works.
        modified: Names of the fields that the user replaced.
    """

    name: str
    version: int
    fields: Mapping[str, Field]
    profile: str = "full"
    modified: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))

    def __getitem__(self, field: str) -> Any:
        return self.fields[field].value

    def values(self) -> dict[str, Any]:
        """Field values without their sources."""
        return {name: field.value for name, field in self.fields.items()}

    @property
    def hash(self) -> str:
        """sha256 over name, version and field values; sources and the profile's name do not count."""
        return sha256_of({"name": self.name, "version": self.version, "fields": self.values()})

    def stamp(self) -> ProtocolStamp:
        """What a record keeps of it."""
        return ProtocolStamp(self.name, self.version, self.hash, self.modified, self.profile)

    def require_positive(self, *names: str) -> None:
        """Refuses numbers below 1.

        Raises:
            HarnessError: A field is.
        """
        for name in names:
            if self[name] < 1:
                raise contradiction(self, f"{name} is {self[name]}", name, "give it a value from 1 on")

    def require_ranks(self) -> None:
        """Refuses a total batch that is not that of its ranks together.

        Raises:
            HarnessError: It is not.
        """
        ranks, per_rank, total = (self[name] for name in ("ranks", "batch_size_per_rank", "batch_size"))
        if ranks * per_rank != total:
            raise contradiction(
                self,
                f"batch_size is {total}, but {ranks} ranks of {per_rank} make {ranks * per_rank}",
                "batch_size",
                f"also give --set {self.name}.batch_size_per_rank=N and --set {self.name}.ranks=N",
            )

    def require_choices(self, choices: Mapping[str, Sequence[str]]) -> None:
        """Refuses words that nothing follows.

        Args:
            choices: Possible values by field; fields that the protocol lacks are passed over.

        Raises:
            HarnessError: A field has another value.
        """
        for name, valid in choices.items():
            if name in self.fields and self[name] not in valid:
                raise contradiction(self, f"{name} cannot be '{self[name]}'", name, did_you_mean(self[name], valid))

    def replace(self, values: Mapping[str, Any], source: str, **changes: Any) -> Protocol:
        """The same table with some fields replaced.

        Args:
            values: New values by field name.
            source: Source of the new values.
            **changes: ``name``, ``profile`` or ``modified``.

        Raises:
            HarnessError: A field is unknown, or its new value is of another kind.
        """
        fields = dict(self.fields)
        for name, value in values.items():
            if name not in fields:
                raise HarnessError(
                    f"protocol {self.name} has no field '{name}'",
                    f"{self.name}.{name}",
                    did_you_mean(name, fields),
                )
            fields[name] = Field(_same_kind(self.name, name, fields[name].value, value), source)
        return dataclasses.replace(self, fields=fields, **changes)

    def vary(self, variant: Variant, name: str) -> Protocol:
        """The table of a variant.

        Args:
            variant: How it differs.
            name: Its name.
        """
        kept = {field: value for field, value in self.fields.items() if field not in variant.removed}
        replaced = dataclasses.replace(self, fields=kept).replace(variant.values, variant.source, name=name)
        sourced = {field: Field(replaced[field], source) for field, source in variant.sources.items()}
        return dataclasses.replace(replaced, fields={**replaced.fields, **sourced, **variant.added})

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with sources, for a job's ``spec.json``."""
        return {
            "name": self.name,
            "version": self.version,
            "profile": self.profile,
            "modified": list(self.modified),
            "fields": {name: dataclasses.asdict(field) for name, field in self.fields.items()},
        }

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> Protocol:
        """The inverse of :meth:`to_dict`; the hash stays the same."""
        fields = {name: Field(_frozen(field["value"]), field["source"]) for name, field in raw["fields"].items()}
        return Protocol(raw["name"], raw["version"], fields, raw["profile"], tuple(raw["modified"]))


@dataclasses.dataclass(frozen=True)
class Variant:
    """How a named variant differs from the published protocol.

    Args:
        source: Where its values come from.
        values: Fields that it replaces.
        added: Fields that only it has.
        removed: Fields that it does without.
        sources: Where a value comes from by field, if not from ``source``.
    """

    source: str
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    added: Mapping[str, Field] = dataclasses.field(default_factory=dict)
    removed: tuple[str, ...] = ()
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)


def contradiction(protocol: Protocol, what: str, field: str, mend: str) -> HarnessError:
    """The error for a field with an impossible value."""
    return HarnessError(f"protocol {protocol.name}: {what}", f"{protocol.name}.{field}", mend)


def _frozen(value: Any) -> Any:
    """Lists become tuples, all the way down."""
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def _same_kind(protocol: str, name: str, old: Any, new: Any) -> Any:
    """Accepts a value of the old one's kind; an integer may stand for a float."""
    new = _frozen(new)
    if isinstance(old, bool) or isinstance(new, bool):
        fits = isinstance(old, bool) and isinstance(new, bool)
    elif isinstance(old, float):
        fits = isinstance(new, (int, float))
        new = float(new) if fits else new
    elif isinstance(old, tuple):
        fits = isinstance(new, tuple)
        if fits and old:
            new = tuple(_same_kind(protocol, name, old[0], item) for item in new)
    else:
        fits = old is None or isinstance(new, type(old))
    if not fits:
        raise HarnessError(
            f"field '{name}' of {protocol} cannot be {new!r}",
            f"{protocol}.{name}",
            f"give a value like the present one: {old!r}",
        )
    return new
