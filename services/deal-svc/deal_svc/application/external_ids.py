"""What other systems call our records: of each kind, a system's id names one."""

from collections.abc import Sequence
from uuid import UUID

from chassis.store import Store
from deal_svc.domain.reservation import KeyReservation, reservation_id
from prm_contracts.values import Code, ExternalId


async def reserved_external_ids(
    store: Store, kind: Code, holder: UUID, external_ids: Sequence[ExternalId]
) -> list[KeyReservation]:
    """To be saved in the append that names them. Raises KeyTaken."""
    scope = f"{kind}-external-id"
    reservations = []
    for external in external_ids:
        key = reservation_id(scope, external.system, external.id)
        reservation = await store.load_or_new(KeyReservation, key)
        reservation.reserve(scope, holder)
        reservations.append(reservation)
    return reservations
