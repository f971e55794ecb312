"""Every command in every state: it does something, changes nothing, or is refused by its rule."""

from collections.abc import Callable
from uuid import UUID

import pytest

from chassis.testing.states import Outcome, only, outcome_of
from prm_contracts.territories import (
    AlignmentActivated,
    AlignmentApproved,
    AlignmentBecameStale,
    AlignmentDrafted,
    AlignmentFact,
    AlignmentValidated,
    TerritoryActivated,
    TerritoryChangedInAlignment,
    TerritoryFact,
    TerritoryRetired,
)
from territory_svc.domain.alignment import (
    Alignment,
    AlignmentIsStale,
    AlignmentNotApproved,
    AlignmentNotOpen,
    AlignmentNotValidated,
    Status,
)
from territory_svc.domain.territory import Status as TerritoryStatus
from territory_svc.domain.territory import Switch, Territory, TerritoryIsRetired

from .cast import ALPHA, MANAGER, NOW, OPERATIONS, defined, works

ALIGNMENT, GERMANY = UUID(int=71), UUID(int=101)
IN_GERMANY = defined("germany", works(ALPHA), geographies=("DE",))
SWITCH = Switch(ALIGNMENT, 4, NOW)
CHANGED: tuple[AlignmentFact, ...] = (
    AlignmentDrafted(name="Spring", base_version=3, drafted_by=MANAGER.id),
    TerritoryChangedInAlignment(territory_id=GERMANY, definition=IN_GERMANY, changed_by=MANAGER.id),
)
VALIDATED = (*CHANGED, AlignmentValidated(overlaps=(), found=0, unassigned=()))
APPROVED = (*VALIDATED, AlignmentApproved(approved_by=OPERATIONS.id))
ALIGNMENTS: dict[Status, tuple[AlignmentFact, ...]] = {
    Status.DRAFT: CHANGED,
    Status.VALIDATED: VALIDATED,
    Status.APPROVED: APPROVED,
    Status.ACTIVATED: (
        *APPROVED,
        AlignmentActivated(
            alignment_version=4, effective_at=NOW, changed=1, activated_by=OPERATIONS.id
        ),
    ),
    Status.STALE: (*APPROVED, AlignmentBecameStale(map_version=4)),
}


OPEN = only("does", Status.DRAFT, Status.VALIDATED, else_=AlignmentNotOpen)
COMMANDS: dict[str, tuple[Callable[[Alignment], None], dict[Status, Outcome]]] = {
    "change": (lambda it: it.change(MANAGER, GERMANY, IN_GERMANY), OPEN),
    "validate": (lambda it: it.validate(()), OPEN),
    "approve": (
        lambda it: it.approve(OPERATIONS, [ALPHA]),
        only("does", Status.VALIDATED, else_=AlignmentNotValidated),
    ),
    "activate": (
        lambda it: it.activate(OPERATIONS, SWITCH, 1, ()),
        only("does", Status.APPROVED, else_=AlignmentNotApproved),
    ),
    "be current": (
        lambda it: it.ensure_current(()),
        only(AlignmentIsStale, Status.STALE, else_="nothing"),
    ),
    "be overtaken": (
        lambda it: it.overtake([GERMANY], 4),
        only("nothing", Status.ACTIVATED, Status.STALE, else_="does"),
    ),
}

ACTIVATED = TerritoryActivated(
    alignment_id=ALIGNMENT, alignment_version=4, effective_at=NOW, definition=IN_GERMANY
)
RETIRED = TerritoryRetired(alignment_id=ALIGNMENT, alignment_version=5, effective_at=NOW)
TERRITORIES: dict[TerritoryStatus | None, tuple[TerritoryFact, ...]] = {
    None: (),
    TerritoryStatus.ACTIVE: (ACTIVATED,),
    TerritoryStatus.RETIRED: (ACTIVATED, RETIRED),
}
TO_TERRITORIES: dict[
    str, tuple[Callable[[Territory], None], dict[TerritoryStatus | None, Outcome]]
] = {
    "activate": (
        lambda it: it.activate(IN_GERMANY, SWITCH),
        {None: "does", TerritoryStatus.ACTIVE: "does", TerritoryStatus.RETIRED: TerritoryIsRetired},
    ),
    "retire": (
        lambda it: it.retire(SWITCH),
        {None: "nothing", TerritoryStatus.ACTIVE: "does", TerritoryStatus.RETIRED: "nothing"},
    ),
}


@pytest.mark.parametrize("status", ALIGNMENTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_an_alignment_in_every_state(command: str, status: Status) -> None:
    alignment = Alignment(ALIGNMENT)
    for fact in ALIGNMENTS[status]:
        alignment.replay(fact)
    tell, outcomes = COMMANDS[command]

    assert alignment.status is status
    assert outcome_of(alignment, tell) == outcomes[status]


@pytest.mark.parametrize("status", TERRITORIES)
@pytest.mark.parametrize("command", TO_TERRITORIES)
def test_a_territory_in_every_state(command: str, status: TerritoryStatus | None) -> None:
    territory = Territory(GERMANY)
    for fact in TERRITORIES[status]:
        territory.replay(fact)
    tell, outcomes = TO_TERRITORIES[command]

    assert territory.status is status
    assert outcome_of(territory, tell) == outcomes[status]


def test_the_tables_know_every_state() -> None:
    assert ALIGNMENTS.keys() == set(Status)
    assert TERRITORIES.keys() == {None, *TerritoryStatus}
