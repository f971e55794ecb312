"""Who may decide: the vendor's people of the opened step or a later one, four eyes, a limit."""

from dataclasses import replace
from uuid import UUID

from approvals import (
    Decider,
    Item,
    Objection,
    Step,
    objection_to_approving,
    objection_to_deciding,
    opening_step,
)

STEPS = (Step("channel-account-manager", 10_000), Step("channel-operations", 50_000))
SELLER, MANAGER = UUID(int=1), UUID(int=2)
ITEM = Item(amount_minor=9_000, had_a_hand=frozenset({SELLER}))
DECIDER = Decider(MANAGER, True, frozenset({"channel-account-manager"}), limit_minor=9_000)


def test_a_step_whose_limit_is_under_the_amount_escalates_to_the_next() -> None:
    assert [opening_step(STEPS, amount) for amount in (10_000, 10_001)] == [1, 2]


def test_above_all_limits_the_last_step_is_opened() -> None:
    assert opening_step(STEPS, 50_001) == 2


def test_a_step_without_limit_decides_any_amount() -> None:
    assert opening_step((Step("channel-operations"),), 2**53) == 1


def test_a_person_with_role_and_limit_approves_somebody_elses_item() -> None:
    assert objection_to_approving(DECIDER, ITEM, STEPS, opened=1) is None


def test_partner_staff_never_decide() -> None:
    staff = replace(DECIDER, is_vendor=False)

    assert objection_to_approving(staff, ITEM, STEPS, opened=1) is Objection.PARTNER_STAFF


def test_an_escalated_step_is_not_decided_by_the_role_below() -> None:
    assert objection_to_deciding(DECIDER, ITEM, STEPS, opened=2) is Objection.ROLE


def test_a_role_of_a_later_step_decides_an_earlier_one() -> None:
    operations = replace(DECIDER, roles=frozenset({"channel-operations"}))

    assert objection_to_deciding(operations, ITEM, STEPS, opened=1) is None


def test_who_had_a_hand_in_the_item_does_not_decide_it() -> None:
    own = replace(ITEM, had_a_hand=frozenset({MANAGER}))

    assert objection_to_approving(DECIDER, own, STEPS, opened=1) is Objection.SAME_PERSON


def test_an_amount_above_the_persons_limit_is_not_approved() -> None:
    above = replace(ITEM, amount_minor=9_001)

    assert objection_to_approving(DECIDER, above, STEPS, opened=1) is Objection.LIMIT


def test_without_a_limit_in_the_items_currency_nothing_is_approved() -> None:
    without = replace(DECIDER, limit_minor=None)

    assert objection_to_approving(without, ITEM, STEPS, opened=1) is Objection.LIMIT


def test_rejecting_takes_no_limit() -> None:
    without = replace(DECIDER, limit_minor=None)

    assert objection_to_deciding(without, ITEM, STEPS, opened=1) is None
