"""HTTP in: one endpoint a command, one a question."""

from deal_svc.api.catalogue import customers, price_books, products
from deal_svc.api.deals import claims, deals

routers = (deals, claims, customers, price_books, products)
