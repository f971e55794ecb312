"""Kafka in: every deadline that partner-svc keeps, and every read model."""

from chassis.delivery import Policy, deadline, project
from partner_svc import policies, projections
from prm_contracts.partners import CONTACTS, PARTNERS

POLICIES: tuple[Policy, ...] = ()
PROJECTIONS = (
    project(PARTNERS, projections.partner_list),
    project(CONTACTS, projections.contact_list),
)
DEADLINES = (
    deadline(
        CONTACTS,
        projections.invitation_deadline,
        policies.expire_invitation,
        key="expire-invitation",
    ),
)
