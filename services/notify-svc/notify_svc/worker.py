"""Kafka in: every fact that notify-svc tells of, and every read model; what goes out of it."""

from collections.abc import Awaitable, Callable

from chassis.delivery import Errand, OutboundRule, Outside, outbound, project, whenever
from notify_svc import policies, projections
from prm_contracts.deals import (
    DEALS,
    DealApprovalStepOpened,
    DealApproved,
    DealExpired,
    DealPromoted,
    DealQueued,
    DealRegistered,
    DealRejected,
    DealWithdrawn,
)
from prm_contracts.notifications import NOTIFICATIONS, MailFact
from prm_contracts.partners import (
    CONTACTS,
    PARTNERS,
    ChannelManagerAssigned,
    ContactActivated,
    PartnerActivated,
    PartnerReinstated,
    PartnerSuspended,
)

POLICIES = (
    whenever(ContactActivated, policies.welcome_contact, key="welcome-contact"),
    whenever(PartnerActivated, policies.tell_partner_activated, key="tell-partner-activated"),
    whenever(PartnerSuspended, policies.tell_partner_suspended, key="tell-partner-suspended"),
    whenever(PartnerReinstated, policies.tell_partner_reinstated, key="tell-partner-reinstated"),
    whenever(ChannelManagerAssigned, policies.tell_assigned_manager, key="tell-assigned-manager"),
    whenever(DealRegistered, policies.confirm_registration, key="confirm-registration"),
    whenever(DealApprovalStepOpened, policies.ask_for_decision, key="ask-for-decision"),
    whenever(DealQueued, policies.tell_place_in_line, key="tell-place-in-line"),
    whenever(DealPromoted, policies.tell_promotion, key="tell-promotion"),
    whenever(DealApproved, policies.tell_approval, key="tell-approval"),
    whenever(DealRejected, policies.tell_rejection, key="tell-rejection"),
    whenever(DealExpired, policies.tell_expiry, key="tell-expiry"),
    whenever(DealExpired, policies.tell_manager_of_expiry, key="tell-manager-of-expiry"),
    whenever(DealWithdrawn, policies.tell_manager_of_withdrawal, key="tell-manager-of-withdrawal"),
)
PROJECTIONS = (
    project(CONTACTS, projections.contacts),
    project(PARTNERS, projections.partners),
    project(DEALS, projections.deals),
    project(NOTIFICATIONS, projections.notification_inbox),
)
DEADLINES = ()


def outgoing(mail: Callable[[Outside, Errand], Awaitable[MailFact]]) -> tuple[OutboundRule, ...]:
    """`mail`: hands the notification to the mail server that the environment names."""
    to_mail = outbound(
        NOTIFICATIONS, projections.mail_errand, mail, policies.record_mail, key="mail"
    )
    return (to_mail,)
