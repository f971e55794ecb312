"""HTTP in: one endpoint a command, one a question."""

from partner_svc.api.contacts import contacts
from partner_svc.api.partners import partners
from partner_svc.api.unsubscribing import unsubscribing

routers = (partners, contacts, unsubscribing)
