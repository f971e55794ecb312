"""The conflict check of one version of a subject, repeated whenever the map has switched."""

from typing import Final
from uuid import UUID, uuid5

from chassis.aggregates import Aggregate
from prm_contracts.territories import Dimensions, TerritoryConflictChecked
from territory_svc.domain.matching import Located

NAMESPACE: Final = UUID("3f6d8a57-2f0b-5b7e-8a44-9b1d0c6e7f32")
MATCHED: Final = 50  # territories that a check names


def check_id(subject: UUID, subject_version: int) -> UUID:
    return uuid5(NAMESPACE, f"{subject} {subject_version}")


class ConflictCheck(Aggregate[TerritoryConflictChecked]):
    alignment_version: int = -1  # of the newest answer; none yet

    def complete(
        self,
        subject: UUID,
        subject_version: int,
        dimensions: Dimensions,
        located: Located,
        alignment_version: int,
    ) -> None:
        """Told again by the same map, or by an older one, it changes nothing."""
        if alignment_version <= self.alignment_version:
            return
        self.record(
            TerritoryConflictChecked(
                subject=subject,
                subject_version=subject_version,
                alignment_version=alignment_version,
                dimensions=dimensions,
                territories=located.territories[:MATCHED],
                conflicts=located.conflicts,
                missing=located.missing,
            )
        )

    def apply(self, fact: TerritoryConflictChecked) -> None:
        self.alignment_version = fact.alignment_version
