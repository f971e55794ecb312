"""The waiting line: given facts, when a verb, then facts; and against a plain list."""

from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from deal_svc.domain.exclusivity import DealNotAtHead, Exclusivity, ExclusivityKey, exclusivity_id
from prm_contracts.deals import ExclusivityClaimed, ExclusivityExpired, ExclusivityReleased

from .cast import ALPHA, CUSTOMER, DEAL, NOW, RIVAL_DEAL, THIRD_DEAL, UNTIL

KEY = ExclusivityKey(customer_id=CUSTOMER, country="DE", family="backup")
DEALS = st.sampled_from([UUID(int=number) for number in range(1, 6)])
SITES = st.sampled_from([None, "Munich", "Ulm"])


def line_of(*claims: tuple[UUID, str | None]) -> Exclusivity:
    line = Exclusivity(exclusivity_id(KEY))
    for deal_id, site in claims:
        line.claim(deal_id, ALPHA, KEY, site)
    line.pending.clear()
    return line


def test_a_line_is_one_customer_country_and_family() -> None:
    others = [
        KEY.model_copy(update=change)
        for change in ({"customer_id": ALPHA}, {"country": "FR"}, {"family": "firewall"})
    ]

    assert len({exclusivity_id(key) for key in (KEY, *others)}) == 4


def test_a_claim_joins_the_end_of_the_line() -> None:
    line = line_of((DEAL, None))

    line.claim(RIVAL_DEAL, ALPHA, KEY, None)

    assert line.pending == [
        ExclusivityClaimed(
            deal_id=RIVAL_DEAL,
            partner_id=ALPHA,
            customer_id=CUSTOMER,
            family="backup",
            country="DE",
        )
    ]
    assert (line.place_of(DEAL), line.place_of(RIVAL_DEAL), line.version) == (1, 2, 2)


def test_a_claim_told_twice_is_told_once() -> None:
    line = line_of((DEAL, None))

    line.claim(DEAL, ALPHA, KEY, None)

    assert line.pending == []


def test_claims_of_different_sites_do_not_clash() -> None:
    line = line_of((DEAL, "Munich"), (RIVAL_DEAL, "Ulm"), (THIRD_DEAL, None))

    assert [line.place_of(deal) for deal in (DEAL, RIVAL_DEAL, THIRD_DEAL)] == [1, 1, 3]


def test_a_deal_that_is_not_in_the_line_has_no_place() -> None:
    assert line_of().place_of(DEAL) == 0


def test_only_the_head_of_the_line_is_granted() -> None:
    line = line_of((DEAL, None), (RIVAL_DEAL, None))

    with pytest.raises(DealNotAtHead) as refused:
        line.grant(RIVAL_DEAL, UNTIL.at)
    assert refused.value.place == 2


def test_a_grant_told_twice_is_told_once() -> None:
    line = line_of((DEAL, None))

    line.grant(DEAL, UNTIL.at)
    line.grant(DEAL, UNTIL.at)

    assert len(line.pending) == 1


def test_whoever_nothing_ahead_clashes_with_any_more_moves_up() -> None:
    line = line_of((DEAL, None), (RIVAL_DEAL, "Munich"), (THIRD_DEAL, "Ulm"), (ALPHA, "Ulm"))

    line.release(DEAL, "withdrawn")

    assert line.pending == [
        ExclusivityReleased(deal_id=DEAL, reason="withdrawn", moved_up=(RIVAL_DEAL, THIRD_DEAL))
    ]


def test_nobody_moves_up_when_one_in_the_middle_leaves() -> None:
    line = line_of((DEAL, None), (RIVAL_DEAL, None), (THIRD_DEAL, None))

    line.release(RIVAL_DEAL, "rejected")

    assert line.pending == [ExclusivityReleased(deal_id=RIVAL_DEAL, reason="rejected")]
    assert line.place_of(THIRD_DEAL) == 2


def test_an_expired_holder_names_who_moved_up() -> None:
    line = line_of((DEAL, None), (RIVAL_DEAL, None))
    line.grant(DEAL, UNTIL.at)

    line.expire(DEAL, UNTIL.at)

    assert line.pending[1:] == [
        ExclusivityExpired(deal_id=DEAL, due_at=UNTIL.at, moved_up=(RIVAL_DEAL,))
    ]


@pytest.mark.parametrize("leaving", ["release", "expire"])
def test_a_deal_that_has_left_does_not_leave_again(leaving: str) -> None:
    line = line_of((RIVAL_DEAL, None))

    if leaving == "release":
        line.release(DEAL, "withdrawn")
    else:
        line.expire(DEAL, NOW)

    assert line.pending == []


Claim = tuple[UUID, str | None]


def clash(one: str | None, other: str | None) -> bool:
    return None in {one, other} or one == other


class WaitingLine(RuleBasedStateMachine):
    """The model: claims in their order, and the set of holders."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Exclusivity(exclusivity_id(KEY))
        self.claims: list[Claim] = []
        self.holders: set[UUID] = set()

    def place(self, deal: UUID) -> int:
        for index, (claimed, site) in enumerate(self.claims):
            if claimed == deal:
                return 1 + sum(clash(site, other) for _, other in self.claims[:index])
        return 0

    @rule(deal=DEALS, site=SITES)
    def claim(self, deal: UUID, site: str | None) -> None:
        self.line.claim(deal, ALPHA, KEY, site)
        if deal not in dict(self.claims):
            self.claims.append((deal, site))

    @rule(deal=DEALS)
    def grant(self, deal: UUID) -> None:
        if self.place(deal) == 1:
            self.line.grant(deal, UNTIL.at)
            self.holders.add(deal)
        else:
            with pytest.raises(DealNotAtHead):
                self.line.grant(deal, UNTIL.at)

    @rule(deal=DEALS, expires=st.booleans())
    def leave(self, deal: UUID, expires: bool) -> None:
        waited = {other for other, _ in self.claims if self.place(other) > 1}
        is_live = deal in dict(self.claims)
        if expires:
            self.line.expire(deal, UNTIL.at)
        else:
            self.line.release(deal, "withdrawn")
        self.claims = [claim for claim in self.claims if claim[0] != deal]
        self.holders.discard(deal)
        if is_live:
            last = self.line.pending[-1]
            assert isinstance(last, ExclusivityReleased | ExclusivityExpired)
            heads = {other for other, _ in self.claims if self.place(other) == 1}
            assert set(last.moved_up) == heads & waited

    @invariant()
    def of_clashing_claims_at_most_one_is_held(self) -> None:
        sites = [claim.site for claim in self.line.claims if claim.deal_id in self.line.holders]
        for index, one in enumerate(sites):
            assert not any(clash(one, other) for other in sites[index + 1 :])

    @invariant()
    def replayed_it_is_the_model(self) -> None:
        replayed = Exclusivity(self.line.id)
        for fact in self.line.pending:
            replayed.replay(fact)
        assert [(claim.deal_id, claim.site) for claim in replayed.claims] == self.claims
        assert set(replayed.holders) == self.holders
        for deal in (UUID(int=number) for number in range(1, 6)):
            assert replayed.place_of(deal) == self.place(deal)


TestWaitingLine = WaitingLine.TestCase


class SeveralLines(RuleBasedStateMachine):
    """Deals that claim several lines at once, each in one append: nobody waits in a circle."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = [Exclusivity(UUID(int=number)) for number in range(1, 4)]

    @rule(deal=DEALS, lines=st.sets(st.integers(0, 2), min_size=1), site=SITES)
    def register(self, deal: UUID, lines: set[int], site: str | None) -> None:
        if not any(line.claim_of(deal) for line in self.lines):
            for index in lines:
                self.lines[index].claim(deal, ALPHA, KEY, site)

    @rule(deal=DEALS)
    def leave(self, deal: UUID) -> None:
        for line in self.lines:
            line.release(deal, "withdrawn")

    @invariant()
    def whoever_is_there_somebody_is_at_the_head_of_all_its_lines(self) -> None:
        deals = {claim.deal_id for line in self.lines for claim in line.claims}
        places = [max(line.place_of(deal) for line in self.lines) for deal in deals]
        assert not deals or 1 in places


TestSeveralLines = SeveralLines.TestCase
