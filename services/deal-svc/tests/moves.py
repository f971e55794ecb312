"""What other services do, and what became of deals."""

from uuid import UUID, uuid4

from deal_svc.domain.registration import NamedLine
from prm_contracts.partners import PartnerReinstated, PartnerSuspended
from prm_contracts.territories import AlignmentActivated

from .cast import ALPHA, BACKUP, FIREWALL, OPERATIONS
from .platform import DealService

SMALL = (NamedLine(product_id=BACKUP, quantity=1, unit_price_minor=4_000_000),)
BOTH = (
    NamedLine(product_id=BACKUP, quantity=1, unit_price_minor=9_000_000),
    NamedLine(product_id=FIREWALL, quantity=1, unit_price_minor=9_000_000),
)
ONLY_FIREWALL = BOTH[1:]


async def status_of(service: DealService, *deal_ids: UUID) -> list[str]:
    return [(await service.deal(deal_id)).status.value for deal_id in deal_ids]


async def suspend(service: DealService) -> None:
    fact = PartnerSuspended(suspended_by=OPERATIONS.id, reason_code="unpaid-fees")
    await service.deliver(ALPHA, 3, fact)


async def reinstate(service: DealService) -> None:
    await service.deliver(ALPHA, 4, PartnerReinstated(reinstated_by=OPERATIONS.id))
    await service.settle()


async def switch_map(service: DealService, version: int) -> None:
    fact = AlignmentActivated(
        alignment_version=version, effective_at=service.now, changed=1, activated_by=OPERATIONS.id
    )
    await service.deliver(uuid4(), 4, fact)
