"""A partner's administrators, told by what becomes of its contacts."""

from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from partner_svc.domain.administration import Administration, LastPartnerAdmin, administration_id
from partner_svc.domain.contact import Contact, ContactGone, InvitationClosed, Status
from prm_contracts.partners import PartnerAdminAppointed, PartnerAdminDismissed

from .cast import ADMIN, ALPHA, BOREALIS, NOW, OPERATIONS, invitation

ANNA, BEN = UUID(int=21), UUID(int=22)


def administrator(id: UUID) -> Contact:
    contact = Contact(id)
    contact.invite(OPERATIONS, invitation("partner-admin"), NOW)
    contact.accept(OPERATIONS, NOW)
    return contact


def appointed(*contacts: UUID) -> Administration:
    administration = Administration(administration_id(ALPHA))
    for contact_id in contacts:
        administration.replay(PartnerAdminAppointed(partner_id=ALPHA, contact_id=contact_id))
    return administration


def test_an_active_contact_with_the_role_is_appointed_once() -> None:
    administration = appointed()

    for _ in range(2):
        administration.follow(ALPHA, administrator(ANNA))

    assert administration.pending == [PartnerAdminAppointed(partner_id=ALPHA, contact_id=ANNA)]


def test_one_of_two_administrators_may_leave() -> None:
    administration, anna = appointed(ANNA, BEN), administrator(ANNA)
    anna.deactivate(OPERATIONS, "left")

    administration.follow(ALPHA, anna)

    assert administration.pending == [PartnerAdminDismissed(partner_id=ALPHA, contact_id=ANNA)]


def test_the_last_partner_admin_cannot_be_removed() -> None:
    administration, anna = appointed(ANNA), administrator(ANNA)
    anna.revoke_role(ADMIN, "partner-admin")

    with pytest.raises(LastPartnerAdmin):
        administration.follow(ALPHA, anna)


def test_each_partner_has_a_list_of_its_own() -> None:
    assert administration_id(ALPHA) != administration_id(BOREALIS)


class SomebodyAlwaysAdministers(RuleBasedStateMachine):
    """Contacts come, change and go in any order; a refused change did not happen."""

    def __init__(self) -> None:
        super().__init__()
        self.administration = appointed()
        self.contacts: list[Contact] = []
        self.had_an_admin = False

    @precondition(lambda self: len(self.contacts) < 5)
    @rule(role=st.sampled_from(["partner-admin", "partner-seller"]))
    def invite(self, role: str) -> None:
        contact = Contact(UUID(int=100 + len(self.contacts)))
        contact.invite(OPERATIONS, invitation(role), NOW)  # type: ignore[arg-type]
        self.contacts.append(contact)

    @precondition(lambda self: self.contacts)
    @rule(
        which=st.integers(0, 4), verb=st.sampled_from(["accept", "grant", "revoke", "deactivate"])
    )
    def change(self, which: int, verb: str) -> None:
        index = which % len(self.contacts)
        changed = Contact(self.contacts[index].id)
        for fact in self.contacts[index].pending:
            changed.record(fact)
        try:
            match verb:
                case "accept":
                    changed.accept(OPERATIONS, NOW)
                case "grant":
                    changed.grant_role(OPERATIONS, "partner-admin")
                case "revoke":
                    changed.revoke_role(OPERATIONS, "partner-admin")
                case "deactivate":
                    changed.deactivate(OPERATIONS, "left")
            self.administration.follow(ALPHA, changed)
        except (ContactGone, InvitationClosed, LastPartnerAdmin):
            return
        self.contacts[index] = changed
        self.had_an_admin |= changed.is_partner_admin

    @invariant()
    def the_list_is_who_administers(self) -> None:
        active = {c.id for c in self.contacts if c.status is Status.ACTIVE}
        admins = {c.id for c in self.contacts if "partner-admin" in c.roles} & active
        assert set(self.administration.admins) == admins
        assert admins or not self.had_an_admin


TestSomebodyAlwaysAdministers = SomebodyAlwaysAdministers.TestCase
