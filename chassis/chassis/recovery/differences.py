"""What a comparison of store and topics finds: differences, what each means, how many."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args
from uuid import UUID

Kind = Literal[
    "position-missing",
    "version-missing",
    "chain-broken",
    "not-published",
    "record-differs",
    "out-of-order",
    "misplaced",
    "fork",
    "not-stored",
    "offsets-gone",
    "letter-not-published",
    "letter-differs",
    "letter-not-stored",
]

MEANING: dict[Kind, str] = {
    "position-missing": "the store has lost a fact: bring back a backup, or `prm restore`",
    "version-missing": "the store has lost a fact of this aggregate",
    "chain-broken": "the stored fact, or the one before it, was changed after it was recorded",
    "not-published": "consumers never see this fact: the topic has lost it",
    "record-differs": "store and topic tell different things of one fact",
    "out-of-order": "consumers saw this fact after a later one of its partition",
    "misplaced": "it lies where its key does not belong: order within the aggregate is lost",
    "fork": "two histories of one aggregate: a database that was set back went on, or a forgery",
    "not-stored": "the store is behind its topics: `prm restore` brings it forward",
    "offsets-gone": "records were deleted from the topic, which is to be kept for ever",
    "letter-not-published": "a dead letter of the table has no copy on the topic",
    "letter-differs": "a dead letter and its copy on the topic are not the same bytes",
    "letter-not-stored": "a copy of a dead letter that the table does not have",
}
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_SHOWN = 100  # of a kind; the others are counted


@dataclass(frozen=True)
class Difference:
    """`where`: topic/partition/offset. What is not known is None."""

    kind: Kind
    what: str
    position: int | None = None
    aggregate_id: UUID | None = None
    version: int | None = None
    where: str | None = None


@dataclass
class Findings:
    """`shown`: the first ones of each kind; `counts`: all of them."""

    shown: list[Difference] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)

    def add(self, found: Difference) -> None:
        self.counts[found.kind] += 1
        if self.counts[found.kind] <= MOST_SHOWN:
            self.shown.append(found)
