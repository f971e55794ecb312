"""Facts of territory-svc: territories, the alignments that change them, and conflict checks."""

from typing import Annotated, Literal, get_args
from uuid import UUID

from pydantic import Field

from prm_contracts.facts import Basis, Fact, Topic, Value
from prm_contracts.values import (
    ActorId,
    Channel,
    Code,
    Country,
    Industry,
    Instant,
    Name,
    OrganisationType,
    PostalCode,
    SizeBand,
    Subdivision,
)

AssignmentRole = Literal["exclusive", "shared", "overlay"]
ConflictKind = Literal[
    "OUTSIDE_TERRITORY",
    "EXCLUSIVE_OTHER",
    "SHARED_OVERLAP",
    "NAMED_ACCOUNT_OTHER",
    "UNASSIGNED_CELL",
    "PENDING_ALIGNMENT",
    "DUPLICATE_DEAL",
    "POSSIBLE_DUPLICATE",
    "DIRECT_PIPELINE",
    "PARTNER_INELIGIBLE",
]
# From the hardest to the softest; the verdict over several conflicts is the hardest of them.
Resolution = Literal["reject", "channel-manager", "review", "queue", "flag", "pass"]
AlignmentVersion = Annotated[int, Field(ge=0, description="0: no alignment was activated yet")]
Geography = Country | Subdivision


class Conflict(Value):
    """One kind of conflict, with what it rests on. `evidence` names no partner and no price."""

    kind: ConflictKind
    resolution: Resolution
    rule_id: Code
    evidence: dict[str, str | int] = Field(default_factory=dict)


class Dimensions(Value):
    """All that a territory is matched by. Null: unknown; it matches open dimensions only."""

    partner_id: UUID
    customer_id: UUID
    country: Country
    subdivision: Subdivision | None = None
    postal_code: PostalCode | None = None
    industry: Industry | None = None
    families: tuple[Code, ...] = Field(min_length=1)
    size_band: SizeBand | None = None
    channel: Channel | None = None
    organisation_type: OrganisationType | None = None


class TerritoryRule(Value):
    """A cell: AND over the dimensions, OR inside each; an empty dimension is open.

    `geographies`: countries or subdivisions; `industries`: NAICS prefixes. A customer named in
    `included_customers` belongs to the territory whatever the dimensions say; one named in
    `excluded_customers` never does. Exclusion beats inclusion, named account beats cell. One that
    names customers and leaves every dimension open is a list of named accounts and has no cell.
    """

    geographies: tuple[Geography, ...] = ()
    industries: tuple[Industry, ...] = ()
    families: tuple[Code, ...] = ()
    size_bands: tuple[SizeBand, ...] = ()
    channels: tuple[Channel, ...] = ()
    included_customers: tuple[UUID, ...] = ()
    excluded_customers: tuple[UUID, ...] = ()


class Assignment(Value):
    partner_id: UUID
    role: AssignmentRole


class TerritoryDefinition(Value):
    """A territory as an alignment wants it."""

    code: Code
    name: Name
    rule: TerritoryRule
    assignments: tuple[Assignment, ...] = ()


class Overlap(Value):
    """Two territories that share cells although one partner holds one of them exclusively."""

    territory_id: UUID
    other_id: UUID


class TerritoryActivated(Fact, type="prm.territory.TerritoryActivated.v1"):
    """From `effective_at` on the territory is as defined here; replaces what it was."""

    alignment_id: UUID
    alignment_version: AlignmentVersion
    effective_at: Instant
    definition: TerritoryDefinition


class TerritoryRetired(Fact, type="prm.territory.TerritoryRetired.v1"):
    alignment_id: UUID
    alignment_version: AlignmentVersion
    effective_at: Instant


class AlignmentDrafted(Fact, type="prm.alignment.AlignmentDrafted.v1"):
    """`base_version`: the alignment version of the map that the draft starts from."""

    name: Name
    base_version: AlignmentVersion
    drafted_by: ActorId


class TerritoryChangedInAlignment(Fact, type="prm.alignment.TerritoryChangedInAlignment.v1"):
    """`definition` null: the territory is to be retired. The last change of a territory counts."""

    territory_id: UUID
    definition: TerritoryDefinition | None
    changed_by: ActorId


class AlignmentValidated(Fact, type="prm.alignment.AlignmentValidated.v1"):
    """Valid only while `overlaps` is empty. At most 200 overlaps are listed; `found` counts all."""

    overlaps: tuple[Overlap, ...] = Field(max_length=200)
    found: int = Field(ge=0)
    unassigned: tuple[UUID, ...] = Field(max_length=200)


class AlignmentApproved(Fact, type="prm.alignment.AlignmentApproved.v1"):
    approved_by: ActorId


class AlignmentActivated(Fact, type="prm.alignment.AlignmentActivated.v1"):
    """The map switched. `changed`: how many territories; each says so in its own stream."""

    alignment_version: AlignmentVersion
    effective_at: Instant
    changed: int = Field(ge=1)
    activated_by: ActorId


class AlignmentBecameStale(Fact, type="prm.alignment.AlignmentBecameStale.v1"):
    """A territory that it touches was changed by another alignment: draft it anew."""

    map_version: AlignmentVersion


class OpenSubjectsRechecked(Fact, type="prm.alignment.OpenSubjectsRechecked.v1"):
    """One batch of the subjects still undecided was checked again by the map as it is now.

    `rechecked`: of this batch; `last_subject`: where the next one goes on, null after the last.
    """

    rechecked: int = Field(ge=0)
    last_subject: UUID | None


class MapSwitched(Fact, type="prm.territory-map.MapSwitched.v1"):
    """The one map of the vendor took an alignment; its versions count the alignments."""

    alignment_version: AlignmentVersion
    alignment_id: UUID
    effective_at: Instant


class MatchedTerritory(Value):
    """A territory that the subject lies in, with who works it."""

    territory_id: UUID
    is_named_account: bool
    assignments: tuple[Assignment, ...]


class TerritoryConflictChecked(Fact, type="prm.conflict-check.TerritoryConflictChecked.v1"):
    """The territorial conflicts of one subject version; without any, `conflicts` is empty.

    `missing`: dimensions without a value that would have decided between territories.
    """

    subject: UUID
    subject_version: int = Field(ge=1)
    alignment_version: AlignmentVersion
    dimensions: Dimensions
    territories: tuple[MatchedTerritory, ...] = Field(max_length=50)
    conflicts: tuple[Conflict, ...]
    missing: tuple[str, ...] = ()
    based_on: tuple[Basis, ...] = ()


class TerritoryKeyReserved(Fact, type="prm.territory-reservation.KeyReserved.v1"):
    """One holder a key, here the territory of a code; the key stays in the aggregate's id."""

    scope: Code
    held_by: UUID


class TerritoryKeyReleased(Fact, type="prm.territory-reservation.KeyReleased.v1"):
    scope: Code
    held_by: UUID


TerritoryFact = TerritoryActivated | TerritoryRetired
AlignmentFact = (
    AlignmentDrafted
    | TerritoryChangedInAlignment
    | AlignmentValidated
    | AlignmentApproved
    | AlignmentActivated
    | AlignmentBecameStale
    | OpenSubjectsRechecked
)
TerritoryReservationFact = TerritoryKeyReserved | TerritoryKeyReleased

TERRITORIES = Topic[TerritoryFact]("prm.territories", get_args(TerritoryFact), "territory-svc")
ALIGNMENTS = Topic[AlignmentFact]("prm.alignments", get_args(AlignmentFact), "territory-svc")
TERRITORY_MAPS = Topic[MapSwitched]("prm.territory-maps", (MapSwitched,), "territory-svc")
CONFLICT_CHECKS = Topic[TerritoryConflictChecked](
    "prm.conflict-checks", (TerritoryConflictChecked,), "territory-svc"
)
TERRITORY_RESERVATIONS = Topic[TerritoryReservationFact](
    "prm.territory-svc-reservations", get_args(TerritoryReservationFact), "territory-svc"
)
