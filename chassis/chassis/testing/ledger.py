"""What must hold of a service's log after any fault, as its topics show it from outside."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from chassis.testing.topics import Event


def wrong_in_log(records: Iterable[Event], head: int) -> Iterator[str]:
    """`records`: of all topics of one service, repeats included, in the order of each partition."""
    first: dict[int, Event] = {}
    reached: dict[tuple[str, int], int] = {}
    homes, versions = dict[tuple[str, bytes | None], int](), defaultdict[str, int](int)
    for event in records:
        if event.position in first:
            if event != first[event.position]:
                yield f"position {event.position} has two contents"
            continue
        first[event.position] = event
        place = event.topic, event.partition
        if event.position < reached.get(place, 0):
            yield f"position {event.position} comes after {reached[place]} on {place}"
        reached[place] = event.position
        if homes.setdefault((event.topic, event.key), event.partition) != event.partition:
            yield f"{event.subject} lies on two partitions"
        if event.version != versions[event.subject] + 1:
            yield f"{event.subject}: {event.version} follows {versions[event.subject]}"
        versions[event.subject] = event.version
    if missing := sorted(set(range(1, head + 1)) - first.keys()):
        yield f"positions that were never published: {missing[:10]}"
    if beyond := sorted(first.keys() - set(range(1, head + 1))):
        yield f"positions that the store does not have: {beyond[:10]}"


def expect_none(wrong: Iterable[str]) -> None:
    """Raises AssertionError, which names the first ones."""
    found = list(wrong)
    if found:
        raise AssertionError(f"{len(found)} are wrong: {found[:10]}")
