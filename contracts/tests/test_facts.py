"""What a fact is: its name, its shape on the wire, its successors."""

from uuid import UUID

import pytest
from pydantic import ValidationError

from prm_contracts import facts
from prm_contracts.facts import Fact, UnknownFact, current_type, decode, encode, upcast
from prm_contracts.territories import AlignmentApproved, AlignmentBecameStale


class DoorOpened(Fact, type="test.door.DoorOpened.v2"):
    opened_by: UUID
    is_forced: bool


OLD = "test.door.DoorOpened.v1"


@pytest.fixture(autouse=True)
def _forgets_upcasters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_UPCASTERS", {})


def test_a_fact_is_published_under_its_declared_type() -> None:
    approved = AlignmentApproved(approved_by=UUID(int=1))

    assert encode(approved) == b'{"approved_by":"00000000-0000-0000-0000-000000000001"}'
    assert decode("prm.alignment.AlignmentApproved.v1", encode(approved)) == approved


def test_two_facts_cannot_have_one_type() -> None:
    with pytest.raises(TypeError):
        type("Other", (Fact,), {}, type="prm.alignment.AlignmentApproved.v1")


def test_a_type_that_nobody_released_is_unknown() -> None:
    with pytest.raises(UnknownFact):
        decode("prm.alignment.AlignmentApproved.v9", b"{}")


def test_a_field_that_the_fact_does_not_have_is_refused() -> None:
    with pytest.raises(ValidationError):
        decode("prm.alignment.AlignmentBecameStale.v1", b'{"map_version":1,"colour":"red"}')


def test_a_fact_does_not_change() -> None:
    stale = AlignmentBecameStale(map_version=1)

    with pytest.raises(ValidationError):
        stale.map_version = 2  # type: ignore[misc]


def test_a_superseded_fact_is_read_as_its_newest_successor() -> None:
    upcast(OLD, DoorOpened, lambda old: old | {"is_forced": False})
    opened = DoorOpened(opened_by=UUID(int=1), is_forced=False)

    assert decode(OLD, b'{"opened_by":"00000000-0000-0000-0000-000000000001"}') == opened
    assert current_type(OLD) is DoorOpened


def test_a_type_has_one_upcaster_and_none_while_it_is_current() -> None:
    upcast(OLD, DoorOpened, dict)

    with pytest.raises(TypeError):
        upcast(OLD, DoorOpened, dict)
    with pytest.raises(TypeError):
        upcast(DoorOpened.fact_type, DoorOpened, dict)
