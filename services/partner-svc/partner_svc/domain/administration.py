"""A partner's administrators: whoever comes and goes, one of them stays."""

from dataclasses import dataclass
from typing import assert_never
from uuid import UUID, uuid5

from chassis.aggregates import Aggregate
from chassis.errors import Conflict
from partner_svc.domain.contact import Contact
from prm_contracts.partners import PartnerAdminAppointed, PartnerAdminDismissed, PartnerAdminFact

NAMESPACE = UUID("9a8c1a52-0f4e-5b0d-8a55-2f3f3f0c7d10")


@dataclass(eq=False)
class LastPartnerAdmin(Conflict):
    """A partner keeps at least one administrator: give the role to somebody else first."""

    contact_id: UUID


def administration_id(partner_id: UUID) -> UUID:
    return uuid5(NAMESPACE, f"{partner_id}")


class Administration(Aggregate[PartnerAdminFact]):
    """One stream a partner: of two administrators who leave at once, one append clashes."""

    admins: tuple[UUID, ...] = ()

    def follow(self, partner_id: UUID, contact: Contact) -> None:
        """Appends what the contact's change means here; raises LastPartnerAdmin."""
        is_listed = contact.id in self.admins
        if contact.is_partner_admin and not is_listed:
            self.record(PartnerAdminAppointed(partner_id=partner_id, contact_id=contact.id))
        if is_listed and not contact.is_partner_admin:
            if len(self.admins) == 1:
                raise LastPartnerAdmin(contact.id)
            self.record(PartnerAdminDismissed(partner_id=partner_id, contact_id=contact.id))

    def apply(self, fact: PartnerAdminFact) -> None:
        match fact:
            case PartnerAdminAppointed():
                self.admins = (*self.admins, fact.contact_id)
            case PartnerAdminDismissed():
                self.admins = tuple(admin for admin in self.admins if admin != fact.contact_id)
            case _:
                assert_never(fact)
