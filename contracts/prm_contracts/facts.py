"""What a fact and a topic are. The one module of the contracts that the chassis may import."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Value(BaseModel):
    """Immutable data without a name of its own on the wire; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class UnknownFact(LookupError):
    """No released fact has this type: the reader is older than the writer."""


class Fact(Value):
    """Something that happened. Its published name is declared, never taken from the module.

    A subclass without a `type` is a shape that several facts share, not a fact.
    """

    fact_type: ClassVar[str]
    named: ClassVar[dict[str, type["Fact"]]] = {}

    def __init_subclass__(cls, *, type: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if type is None:
            return
        if Fact.named.setdefault(type, cls) is not cls:
            raise TypeError(f"two facts are called {type}")
        cls.fact_type = type


class Personal(Value):
    """A personal text, readable only while the data subject's key exists.

    `box`: base64 of a 12-byte nonce and the AES-256-GCM ciphertext of the UTF-8 text, with
    "<subject> <key>" as associated data. `key`: the id of the subject's key in the key database.
    """

    subject: UUID
    key: UUID
    box: str = Field(min_length=1)


class Basis(Value):
    """A fact of another topic that a decision rested on: its reader must have seen it too."""

    topic: str
    aggregate_id: UUID
    version: int = Field(ge=1)


F = TypeVar("F", bound=Fact)
F_co = TypeVar("F_co", bound=Fact, covariant=True)


@dataclass(frozen=True)
class Topic(Generic[F]):
    """All facts of one kind of aggregate, keyed by aggregate id. Invariant: these and no others.

    `owner`: the service that alone writes it. `partitions`: fixed when the topic is created.
    """

    name: str
    facts: tuple[type[F], ...]
    owner: str
    partitions: int = 6
    carrying: ClassVar[dict[type[Fact], "Topic[Any]"]] = {}

    def __post_init__(self) -> None:
        for fact in self.facts:
            if Topic.carrying.setdefault(fact, self).name != self.name:
                raise TypeError(f"{fact.fact_type} lies on two topics")


def unversioned(fact_type: str) -> str:
    """What all versions of a fact are called: prm.deal.DealApproved."""
    return fact_type.rpartition(".v")[0]


def topic_of(fact: type[Fact]) -> Topic[Any]:
    """The one topic that carries this fact. Raises LookupError."""
    if fact not in Topic.carrying:
        raise LookupError(f"no topic carries {fact.fact_type}")
    return Topic.carrying[fact]


Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
_UPCASTERS: dict[str, tuple[type[Fact], Upcaster]] = {}


def upcast(old_type: str, new: type[Fact], upcaster: Upcaster) -> None:
    """Declares how the JSON object of a superseded type becomes that of its successor.

    Readers first: the release before a new version reads it the same way, as what it still writes.
    """
    if old_type in _UPCASTERS or old_type in Fact.named:
        raise TypeError(f"{old_type} is read already")
    _UPCASTERS[old_type] = (new, upcaster)


def current_type(fact_type: str) -> type[Fact]:
    """The class that facts of this type are read as. Raises UnknownFact."""
    if fact_type in _UPCASTERS:
        return current_type(_UPCASTERS[fact_type][0].fact_type)
    if fact_type not in Fact.named:
        raise UnknownFact(fact_type)
    return Fact.named[fact_type]


def decode(fact_type: str, data: bytes) -> Fact:
    """The fact in its newest shape. Raises UnknownFact, or pydantic's ValidationError."""
    if fact_type not in _UPCASTERS:
        return current_type(fact_type).model_validate_json(data)
    successor, upcaster = _UPCASTERS[fact_type]
    return decode(successor.fact_type, json.dumps(upcaster(json.loads(data))).encode())


def encode(fact: Fact) -> bytes:
    """The fact as it is stored and published: compact JSON, UTF-8, never serialised twice."""
    return fact.model_dump_json().encode()
