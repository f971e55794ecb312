"""Kafka in: every fact that deal-svc reacts to, every deadline and every read model it keeps."""

from chassis.delivery import KeptWithAppend, deadline, project, whenever
from deal_svc import policies, projections
from prm_contracts.customers import CUSTOMERS
from prm_contracts.deals import (
    DEALS,
    EXCLUSIVITIES,
    DealQueued,
    ExclusivityExpired,
    ExclusivityReleased,
)
from prm_contracts.partners import CONTACTS, PARTNERS, PartnerReinstated
from prm_contracts.price_books import PRICE_BOOKS
from prm_contracts.territories import ALIGNMENTS, TerritoryConflictChecked

POLICIES = (
    whenever(TerritoryConflictChecked, policies.answer_conflict_check, key="answer-conflict-check"),
    whenever(ExclusivityReleased, policies.promote_those_behind_released, key="promote-released"),
    whenever(ExclusivityExpired, policies.promote_those_behind_expired, key="promote-expired"),
    whenever(DealQueued, policies.promote_queued_at_head, key="promote-queued-at-head"),
    whenever(PartnerReinstated, policies.recheck_deals_of_reinstated, key="recheck-reinstated"),
)
PROJECTIONS = (
    project(PARTNERS, projections.partners),
    project(CONTACTS, projections.approval_limits),
    project(CONTACTS, projections.people),
    project(ALIGNMENTS, projections.alignments),
    project(PRICE_BOOKS, projections.price_book_list),
    project(PRICE_BOOKS, projections.product_list),
    project(CUSTOMERS, projections.customer_list),
    project(DEALS, projections.deal_list),
    project(DEALS, projections.deal_detail),
    project(EXCLUSIVITIES, projections.exclusivity_line),
)
KEPT_WITH_APPEND = (KeptWithAppend("customer_keys", ("customer_keys",), "keep_customer_keys"),)
DEADLINES = (
    deadline(
        DEALS, projections.exclusivity_deadline, policies.expire_deal, key="expire-exclusivity"
    ),
)
