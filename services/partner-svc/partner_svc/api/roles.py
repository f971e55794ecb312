"""Who may use which route."""

from chassis.web.http import allowed
from partner_svc.domain.contact import ADMINISTRATORS

CHANNEL = allowed("channel-account-manager", "channel-operations")
OPERATIONS = allowed("channel-operations")
ADMINISTRATION = allowed(*ADMINISTRATORS["partner"])
READERS = allowed(
    "channel-account-manager",
    "channel-operations",
    "finance-approver",
    "integrator",
    "partner-admin",
    "partner-seller",
    "platform-operator",
)
# Names and addresses of people: not for integrators, who ask for a grant.
COLLEAGUES = allowed(
    "channel-account-manager",
    "channel-operations",
    "finance-approver",
    "partner-admin",
    "partner-seller",
    "platform-operator",
)
