"""An example of each fact of territory-svc."""

from prm_contracts.examples.cast import (
    ALIGNMENT,
    ALPHA,
    BOREALIS,
    DEAL,
    DECIDED_AT,
    GERMANY,
    HOFFMANN,
    MANAGER,
    OPERATIONS,
    named,
)
from prm_contracts.examples.deals import DIMENSIONS
from prm_contracts.facts import Fact
from prm_contracts.territories import (
    AlignmentActivated,
    AlignmentApproved,
    AlignmentBecameStale,
    AlignmentDrafted,
    AlignmentValidated,
    Assignment,
    Conflict,
    MapSwitched,
    MatchedTerritory,
    OpenSubjectsRechecked,
    Overlap,
    TerritoryActivated,
    TerritoryChangedInAlignment,
    TerritoryConflictChecked,
    TerritoryDefinition,
    TerritoryKeyReleased,
    TerritoryKeyReserved,
    TerritoryRetired,
    TerritoryRule,
)

SHARED = (
    Assignment(partner_id=ALPHA, role="shared"),
    Assignment(partner_id=BOREALIS, role="shared"),
)
DEFINITION = TerritoryDefinition(
    code="germany.logistics",
    name="Logistics in Germany",
    rule=TerritoryRule(
        geographies=("DE", "AT-9"),
        industries=("484", "493"),
        families=("backup", "storage"),
        size_bands=("small", "medium"),
        channels=("resale",),
        included_customers=(HOFFMANN,),
        excluded_customers=(named("customer of the vendor"),),
    ),
    assignments=SHARED,
)

TERRITORIES: tuple[Fact, ...] = (
    TerritoryActivated(
        alignment_id=ALIGNMENT, alignment_version=4, effective_at=DECIDED_AT, definition=DEFINITION
    ),
    TerritoryRetired(alignment_id=ALIGNMENT, alignment_version=4, effective_at=DECIDED_AT),
)
ALIGNMENTS: tuple[Fact, ...] = (
    AlignmentDrafted(name="Spring 2027", base_version=3, drafted_by=MANAGER),
    TerritoryChangedInAlignment(territory_id=GERMANY, definition=DEFINITION, changed_by=MANAGER),
    AlignmentValidated(
        overlaps=(Overlap(territory_id=GERMANY, other_id=named("territory bavaria")),),
        found=1,
        unassigned=(named("territory austria"),),
    ),
    AlignmentApproved(approved_by=OPERATIONS),
    AlignmentActivated(
        alignment_version=4, effective_at=DECIDED_AT, changed=2, activated_by=OPERATIONS
    ),
    AlignmentBecameStale(map_version=4),
    OpenSubjectsRechecked(rechecked=50, last_subject=DEAL),
)
TERRITORY_MAPS: tuple[Fact, ...] = (
    MapSwitched(alignment_version=4, alignment_id=ALIGNMENT, effective_at=DECIDED_AT),
)
CONFLICT_CHECKS: tuple[Fact, ...] = (
    TerritoryConflictChecked(
        subject=DEAL,
        subject_version=1,
        alignment_version=4,
        dimensions=DIMENSIONS,
        territories=(
            MatchedTerritory(territory_id=GERMANY, is_named_account=True, assignments=SHARED),
        ),
        conflicts=(
            Conflict(
                kind="SHARED_OVERLAP",
                resolution="pass",
                rule_id="territory.shared-overlap",
                evidence={"families": "backup", "territories": 1},
            ),
        ),
    ),
)
TERRITORY_RESERVATIONS: tuple[Fact, ...] = (
    TerritoryKeyReserved(scope="territory-code", held_by=GERMANY),
    TerritoryKeyReleased(scope="territory-code", held_by=GERMANY),
)
