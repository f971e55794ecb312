"""The base of every aggregate. Plain and synchronous: no store, no clock."""

from abc import ABC, abstractmethod
from functools import cache
from typing import Any, ClassVar, Generic, get_args
from uuid import UUID

from chassis.errors import NotFound
from prm_contracts.facts import F, Fact


class Aggregate(ABC, Generic[F]):
    """Public verbs decide and `record`; `apply` only assigns, for it also runs on replay.

    All state lies in annotated attributes of the class, so that a snapshot can keep it;
    `state_version` is raised whenever their meaning changes, which drops older snapshots.
    """

    not_found: ClassVar[type[NotFound]] = NotFound
    state_version: ClassVar[int] = 1
    tenant_id: UUID | None = None  # whose record it is, for callers who may see their own only

    def __init__(self, id: UUID) -> None:
        self.id = id
        self.version = 0
        self.pending: list[F] = []  # recorded, not yet saved; emptied by the store

    def record(self, fact: F) -> None:
        self.replay(fact)
        self.pending.append(fact)

    def replay(self, fact: F) -> None:
        self.apply(fact)
        self.version += 1

    @abstractmethod
    def apply(self, fact: F) -> None: ...


@cache
def facts_of(kind: type[Aggregate[Any]]) -> tuple[type[Fact], ...]:
    """The facts F that this kind of aggregate records. Raises TypeError where it names none."""
    for parent in getattr(kind, "__orig_bases__", ()):
        if getattr(parent, "__origin__", None) is Aggregate:
            [facts] = get_args(parent)
            return get_args(facts) or (facts,)
    raise TypeError(f"{kind.__name__} is no Aggregate[...]")
