"""An example of each fact of deal-svc on deals and waiting lines."""

from datetime import date

from prm_contracts.customers import CustomerLike, EndCustomer
from prm_contracts.deals import (
    Claim,
    ConflictCheckRequested,
    DealApprovalStepDecided,
    DealApprovalStepOpened,
    DealApproved,
    DealCleared,
    DealConflictsFound,
    DealExpired,
    DealLine,
    DealPromoted,
    DealQueued,
    DealRegistered,
    DealRejected,
    DealWithdrawn,
    ExclusivityClaimed,
    ExclusivityExpired,
    ExclusivityGranted,
    ExclusivityReleased,
)
from prm_contracts.examples.cast import (
    ALPHA,
    BACKUP,
    BY_A_PERSON,
    BY_RULE,
    DEAL,
    DECIDED_AT,
    HOFFMANN,
    LINE,
    MANAGER,
    SEEN_PARTNER,
    SELLER,
    UNTIL,
    named,
    sealed,
)
from prm_contracts.facts import Fact
from prm_contracts.territories import Conflict, Dimensions
from prm_contracts.values import ExternalId

DIMENSIONS = Dimensions(
    partner_id=ALPHA,
    customer_id=HOFFMANN,
    country="DE",
    subdivision="DE-BY",
    postal_code="80331",
    industry="484",
    families=("backup",),
    size_band="medium",
    channel="resale",
    organisation_type="company",
)
CHECK = named("conflict check")
NEXT = named("next deal in the line")

DEALS: tuple[Fact, ...] = (
    DealRegistered(
        partner_id=ALPHA,
        seller_id=SELLER,
        registered_by=SELLER,
        deal_type="new",
        customer=EndCustomer(
            customer_id=HOFFMANN,
            name="Hoffmann Logistik GmbH",
            country="DE",
            subdivision="DE-BY",
            postal_code="80331",
            domain="hoffmann-logistik.example",
            duns="341234567",
            band="possible",
            scorer_version="1",
            similar=(
                CustomerLike(
                    customer_id=named("customer hofmann"),
                    points=870,
                    evidence={"name": 900, "postal-code": 600},
                ),
            ),
        ),
        customer_contact=sealed(DEAL),
        lines=(
            DealLine(product_id=BACKUP, family="backup", quantity=120, unit_price_minor=150_000),
        ),
        amount_minor=18_000_000,
        currency="EUR",
        expected_close_on=date(2027, 6, 30),
        time_zone="Europe/Berlin",
        claims=(Claim(exclusivity_id=LINE, version=1, family="backup", site="Munich"),),
        industry="484",
        size_band="medium",
        channel="resale",
        organisation_type="company",
        sales_activity=sealed(DEAL),
        help_wanted=("technical",),
        terms_version="2027-1",
        external_ids=(ExternalId(system="crm", id="D-5501"),),
        based_on=(SEEN_PARTNER,),
    ),
    ConflictCheckRequested(
        subject_version=2, reason_code="promoted", dimensions=DIMENSIONS, based_on=(SEEN_PARTNER,)
    ),
    DealCleared(
        subject_version=1,
        check_id=CHECK,
        alignment_version=4,
        decision=BY_RULE,
        based_on=(SEEN_PARTNER,),
    ),
    DealConflictsFound(
        subject_version=1,
        check_id=CHECK,
        alignment_version=4,
        conflicts=(
            Conflict(
                kind="POSSIBLE_DUPLICATE",
                resolution="review",
                rule_id="deal.possible-duplicate",
                evidence={"points": 870},
            ),
        ),
        decision=BY_RULE.model_copy(update={"reason_code": "conflicts", "rule_id": "deal.verdict"}),
        based_on=(SEEN_PARTNER,),
    ),
    DealQueued(place=2),
    DealPromoted(subject_version=2),
    DealApprovalStepOpened(
        step=1,
        role="channel-account-manager",
        amount_minor=18_000_000,
        currency="EUR",
        due_at=DECIDED_AT,
    ),
    DealApprovalStepDecided(step=1, outcome="approved", decided_by=MANAGER),
    DealApproved(
        decision=BY_A_PERSON.model_copy(update={"reason_code": "approved"}),
        exclusive_from=DECIDED_AT,
        exclusive_until=UNTIL,
        discount_bp=800,
    ),
    DealRejected(decision=BY_A_PERSON, note=sealed(DEAL)),
    DealWithdrawn(withdrawn_by=SELLER, note=sealed(DEAL)),
    DealExpired(due_at=UNTIL.at),
)
EXCLUSIVITIES: tuple[Fact, ...] = (
    ExclusivityClaimed(
        deal_id=DEAL,
        partner_id=ALPHA,
        customer_id=HOFFMANN,
        family="backup",
        country="DE",
        site="Munich",
    ),
    ExclusivityGranted(deal_id=DEAL, exclusive_until=UNTIL.at),
    ExclusivityReleased(deal_id=DEAL, reason="withdrawn", moved_up=(NEXT,)),
    ExclusivityExpired(deal_id=DEAL, due_at=UNTIL.at, moved_up=(NEXT,)),
)
