"""Who may use which route."""

from chassis.web.http import allowed

OPERATIONS = allowed("channel-operations")
DECIDERS = allowed("channel-account-manager", "channel-operations", "finance-approver")
PARTNERS = allowed("partner-admin", "partner-seller")
VENDORS = allowed(
    "channel-account-manager", "channel-operations", "finance-approver", "platform-operator"
)
DEAL_READERS = allowed(
    "channel-account-manager",
    "channel-operations",
    "finance-approver",
    "partner-admin",
    "partner-seller",
    "platform-operator",
)
EVERYBODY = allowed(
    "channel-account-manager",
    "channel-operations",
    "finance-approver",
    "integrator",
    "partner-admin",
    "partner-seller",
    "platform-operator",
)
