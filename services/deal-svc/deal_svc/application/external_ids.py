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
    keys = [reservation_id(scope, external.system, external.id) for external in external_ids]
    reservations = await store.load_many_or_new(KeyReservation, keys)
    for reservation in reservations:
        reservation.reserve(scope, holder)
    return reservations
