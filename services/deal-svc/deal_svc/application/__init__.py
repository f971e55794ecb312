"""The commands that deal-svc accepts: load, tell, save."""

from deal_svc.application.checks import (
    answer_conflict_check,
    promote_deals,
    recheck_partner,
    request_check,
)
from deal_svc.application.deals import (
    approve_deal,
    expire_deal,
    register_deal,
    reject_deal,
    withdraw_deal,
)
from deal_svc.application.price_books import define_family, list_product, open_price_book

__all__ = [
    "answer_conflict_check",
    "approve_deal",
    "define_family",
    "expire_deal",
    "list_product",
    "open_price_book",
    "promote_deals",
    "recheck_partner",
    "register_deal",
    "reject_deal",
    "request_check",
    "withdraw_deal",
]
