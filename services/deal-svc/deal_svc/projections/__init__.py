"""A fact becomes one idempotent statement on a read model: one function a table."""

from deal_svc.projections.catalogue import customer_list, price_book_list, product_list
from deal_svc.projections.deadlines import exclusivity_deadline
from deal_svc.projections.deals import deal_detail, deal_list
from deal_svc.projections.exclusivities import exclusivity_line
from deal_svc.projections.others import alignments, approval_limits, partners, people

__all__ = [
    "alignments",
    "approval_limits",
    "customer_list",
    "deal_detail",
    "deal_list",
    "exclusivity_deadline",
    "exclusivity_line",
    "partners",
    "people",
    "price_book_list",
    "product_list",
]
