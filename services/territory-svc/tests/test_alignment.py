"""Given facts, when a verb, then facts or a refusal; and an alignment against a small model."""

from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chassis.context import Actor
from chassis.errors import Refusal
from prm_contracts.territories import (
    AlignmentActivated,
    AlignmentApproved,
    AlignmentBecameStale,
    AlignmentDrafted,
    AlignmentFact,
    AlignmentValidated,
    OpenSubjectsRechecked,
    Overlap,
    TerritoryChangedInAlignment,
    TerritoryDefinition,
)
from territory_svc.domain.alignment import (
    LISTED,
    Alignment,
    AlignmentIsEmpty,
    AlignmentIsStale,
    AlignmentNotApproved,
    AlignmentNotOpen,
    AlignmentNotValidated,
    AssignedTwice,
    CodeTwiceInAlignment,
    CountryUnknown,
    ExclusiveIsNotAlone,
    ExclusivesOverlap,
    FourEyesNeeded,
    PartnerNotLive,
    Status,
)
from territory_svc.domain.territory import Switch

from .cast import ALPHA, BOREALIS, MANAGER, NOW, OPERATIONS, defined, works

ALIGNMENT, GERMANY, FRANCE = UUID(int=71), UUID(int=101), UUID(int=102)
IN_GERMANY = defined("germany", works(ALPHA), geographies=("DE",))
DRAFTED = AlignmentDrafted(name="Spring", base_version=3, drafted_by=MANAGER.id)
CHANGED = TerritoryChangedInAlignment(
    territory_id=GERMANY, definition=IN_GERMANY, changed_by=MANAGER.id
)
CLEAN = AlignmentValidated(overlaps=(), found=0, unassigned=())
APPROVED = AlignmentApproved(approved_by=OPERATIONS.id)
SWITCH = Switch(ALIGNMENT, 4, NOW)
ACTIVATED = AlignmentActivated(
    alignment_version=4, effective_at=NOW, changed=1, activated_by=OPERATIONS.id
)
OVERLAP = Overlap(territory_id=GERMANY, other_id=FRANCE)


def given(*facts: AlignmentFact) -> Alignment:
    alignment = Alignment(ALIGNMENT)
    for fact in facts:
        alignment.replay(fact)
    return alignment


def test_a_draft_starts_from_the_map_as_it_is() -> None:
    alignment = given()

    alignment.draft(MANAGER, "Spring", base_version=3)

    assert alignment.pending == [DRAFTED]


def test_a_draft_takes_in_a_territory() -> None:
    alignment = given(DRAFTED)

    alignment.change(MANAGER, GERMANY, IN_GERMANY)

    assert alignment.pending == [CHANGED]


def test_a_code_is_used_once_in_an_alignment() -> None:
    alignment = given(DRAFTED, CHANGED)

    with pytest.raises(CodeTwiceInAlignment):
        alignment.change(MANAGER, FRANCE, IN_GERMANY)


def test_the_last_change_of_a_territory_counts() -> None:
    alignment = given(DRAFTED, CHANGED)

    alignment.change(MANAGER, GERMANY, None)

    assert alignment.changes == {GERMANY: None}


def test_a_partner_is_assigned_to_a_territory_once() -> None:
    twice = defined("germany", works(ALPHA), works(ALPHA, "overlay"))

    with pytest.raises(AssignedTwice):
        given(DRAFTED).change(MANAGER, GERMANY, twice)


def test_beside_an_exclusive_partner_only_overlays_work_a_territory() -> None:
    crowded = defined("germany", works(ALPHA), works(BOREALIS, "shared"))
    overlaid = defined("germany", works(ALPHA), works(BOREALIS, "overlay"))
    alignment = given(DRAFTED)

    alignment.change(MANAGER, GERMANY, overlaid)

    with pytest.raises(ExclusiveIsNotAlone):
        alignment.change(MANAGER, GERMANY, crowded)


@pytest.mark.parametrize("geography", ["XX", "XX-1"])
def test_a_territory_lies_in_a_country_that_exists(geography: str) -> None:
    with pytest.raises(CountryUnknown):
        given(DRAFTED).change(MANAGER, GERMANY, defined("nowhere", geographies=(geography,)))


@pytest.mark.parametrize("facts", [(APPROVED,), (APPROVED, ACTIVATED)])
def test_an_approved_alignment_is_final(facts: tuple[AlignmentFact, ...]) -> None:
    alignment = given(DRAFTED, CHANGED, CLEAN, *facts)

    with pytest.raises(AlignmentNotOpen):
        alignment.change(MANAGER, FRANCE, defined("france"))
    with pytest.raises(AlignmentNotOpen):
        alignment.validate(())


def test_an_alignment_without_changes_is_not_validated() -> None:
    with pytest.raises(AlignmentIsEmpty):
        given(DRAFTED).validate(())


def test_a_validation_names_overlaps_and_what_nobody_works() -> None:
    alignment = given(DRAFTED, CHANGED)
    alignment.replay(
        TerritoryChangedInAlignment(
            territory_id=FRANCE, definition=defined("france"), changed_by=MANAGER.id
        )
    )

    alignment.validate([OVERLAP])

    assert alignment.pending == [
        AlignmentValidated(overlaps=(OVERLAP,), found=1, unassigned=(FRANCE,))
    ]


def test_a_validation_counts_more_overlaps_than_it_lists() -> None:
    alignment = given(DRAFTED, CHANGED)

    alignment.validate([OVERLAP] * (LISTED + 1))

    [found] = alignment.pending
    assert isinstance(found, AlignmentValidated)
    assert (len(found.overlaps), found.found) == (LISTED, LISTED + 1)


def test_a_validated_alignment_is_approved_by_a_second_person() -> None:
    alignment = given(DRAFTED, CHANGED, CLEAN)

    alignment.approve(OPERATIONS, live=[ALPHA])

    assert alignment.pending == [APPROVED]


OVERLAPPING = AlignmentValidated(overlaps=(OVERLAP,), found=1, unassigned=())


@pytest.mark.parametrize(
    "facts", [(CHANGED,), (CHANGED, OVERLAPPING), (CHANGED, CLEAN, CHANGED), (CLEAN, APPROVED)]
)
def test_only_a_validated_alignment_without_overlaps_is_approved(
    facts: tuple[AlignmentFact, ...],
) -> None:
    with pytest.raises(AlignmentNotValidated):
        given(DRAFTED, *facts).approve(OPERATIONS, live=[ALPHA])


def test_who_drafted_an_alignment_does_not_approve_it() -> None:
    with pytest.raises(FourEyesNeeded):
        given(DRAFTED, CHANGED, CLEAN).approve(MANAGER, live=[ALPHA])


def test_who_changed_an_alignment_does_not_approve_it() -> None:
    by_operations = CHANGED.model_copy(update={"changed_by": OPERATIONS.id})

    with pytest.raises(FourEyesNeeded):
        given(DRAFTED, by_operations, CLEAN).approve(OPERATIONS, live=[ALPHA])


def test_only_live_partners_are_assigned() -> None:
    with pytest.raises(PartnerNotLive) as refused:
        given(DRAFTED, CHANGED, CLEAN).approve(OPERATIONS, live=[BOREALIS])

    assert refused.value.partner_ids == (ALPHA,)


def test_an_approved_alignment_is_activated() -> None:
    alignment = given(DRAFTED, CHANGED, CLEAN, APPROVED)

    alignment.activate(OPERATIONS, SWITCH, changed=1, overlaps=())

    assert alignment.pending == [ACTIVATED]


@pytest.mark.parametrize("facts", [(), (CHANGED, CLEAN), (CHANGED, CLEAN, APPROVED, ACTIVATED)])
def test_only_an_approved_alignment_is_activated(facts: tuple[AlignmentFact, ...]) -> None:
    with pytest.raises(AlignmentNotApproved):
        given(DRAFTED, *facts).activate(OPERATIONS, SWITCH, changed=1, overlaps=())


def test_exclusives_that_overlap_by_now_are_not_activated() -> None:
    alignment = given(DRAFTED, CHANGED, CLEAN, APPROVED)

    with pytest.raises(ExclusivesOverlap):
        alignment.activate(OPERATIONS, SWITCH, changed=1, overlaps=[OVERLAP])


def test_an_alignment_that_changes_nothing_is_not_activated() -> None:
    alignment = given(DRAFTED, CHANGED, CLEAN, APPROVED)

    with pytest.raises(AlignmentIsEmpty):
        alignment.activate(OPERATIONS, SWITCH, changed=0, overlaps=())


def test_an_alignment_is_stale_when_another_changed_a_territory_that_it_touches() -> None:
    alignment = given(DRAFTED, CHANGED)

    alignment.overtake([GERMANY], map_version=4)

    assert alignment.pending == [AlignmentBecameStale(map_version=4)]


@pytest.mark.parametrize(
    ("facts", "changed", "map_version"),
    [
        ((CHANGED,), FRANCE, 4),
        ((CHANGED,), GERMANY, 3),
        ((CHANGED, CLEAN, APPROVED, ACTIVATED), GERMANY, 5),
        ((CHANGED, AlignmentBecameStale(map_version=4)), GERMANY, 5),
    ],
)
def test_an_alignment_is_not_overtaken_by_what_it_does_not_touch_or_has_left_behind(
    facts: tuple[AlignmentFact, ...], changed: UUID, map_version: int
) -> None:
    alignment = given(DRAFTED, *facts)

    alignment.overtake([changed], map_version)

    assert alignment.pending == []


def test_a_stale_alignment_is_drafted_anew() -> None:
    with pytest.raises(AlignmentIsStale):
        given(DRAFTED, CHANGED).ensure_current([GERMANY])
    with pytest.raises(AlignmentIsStale):
        given(DRAFTED, CHANGED, AlignmentBecameStale(map_version=4)).ensure_current([])


def test_a_current_alignment_goes_on() -> None:
    given(DRAFTED, CHANGED).ensure_current([])


def test_a_batch_of_rechecked_subjects_says_where_the_next_goes_on() -> None:
    alignment = given(DRAFTED, CHANGED, CLEAN, APPROVED, ACTIVATED)

    alignment.note_recheck(50, UUID(int=9))

    assert alignment.pending == [OpenSubjectsRechecked(rechecked=50, last_subject=UUID(int=9))]
    assert alignment.last_subject == UUID(int=9)


PEOPLE = st.sampled_from([MANAGER, OPERATIONS, Actor(UUID(int=13))])
TERRITORIES = st.sampled_from([GERMANY, FRANCE])


class Proposal(RuleBasedStateMachine):
    """The model: the last definition of each territory, its proposers and how far it got."""

    def __init__(self) -> None:
        super().__init__()
        self.alignment = Alignment(ALIGNMENT)
        self.alignment.draft(MANAGER, "Spring", base_version=0)
        self.status, self.proposers = Status.DRAFT, {MANAGER.id}
        self.changes: dict[UUID, TerritoryDefinition | None] = {}

    def told(self, is_allowed: bool, verb: str, *args: object) -> bool:
        if is_allowed:
            getattr(self.alignment, verb)(*args)
        else:
            with pytest.raises(Refusal):
                getattr(self.alignment, verb)(*args)
        return is_allowed

    @rule(by=PEOPLE, territory=TERRITORIES, is_kept=st.booleans(), code=st.sampled_from("ab"))
    def change(self, by: Actor, territory: UUID, is_kept: bool, code: str) -> None:
        wanted = defined(code, works(ALPHA)) if is_kept else None
        others = [each for at, each in self.changes.items() if each and at != territory]
        is_open = self.status in (Status.DRAFT, Status.VALIDATED)
        is_free = wanted is None or all(each.code != code for each in others)
        if self.told(is_open and is_free, "change", by, territory, wanted):
            self.changes[territory] = wanted
            self.status = Status.DRAFT
            self.proposers.add(by.id)

    @rule(overlap=st.booleans())
    def validate(self, overlap: bool) -> None:
        is_open = self.status in (Status.DRAFT, Status.VALIDATED)
        if self.told(is_open and bool(self.changes), "validate", [OVERLAP] * overlap):
            self.status = Status.DRAFT if overlap else Status.VALIDATED

    @rule(by=PEOPLE)
    def approve(self, by: Actor) -> None:
        is_second = by.id not in self.proposers
        if self.told(self.status is Status.VALIDATED and is_second, "approve", by, [ALPHA]):
            self.status = Status.APPROVED

    @rule(overlap=st.booleans())
    def activate(self, overlap: bool) -> None:
        is_ready = self.status is Status.APPROVED and not overlap
        if self.told(is_ready, "activate", OPERATIONS, SWITCH, 1, [OVERLAP] * overlap):
            self.status = Status.ACTIVATED

    @rule(territory=TERRITORIES)
    def overtake(self, territory: UUID) -> None:
        self.alignment.overtake([territory], map_version=1)
        if self.status is not Status.ACTIVATED and territory in self.changes:
            self.status = Status.STALE

    @invariant()
    def replayed_it_is_the_model(self) -> None:
        replayed = given(*self.alignment.pending)
        assert (replayed.status, replayed.changes) == (self.status, self.changes)
        assert replayed.proposers == self.proposers


TestProposal = Proposal.TestCase
