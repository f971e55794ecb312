"""Kafka in: every fact that territory-svc reacts to, and every read model that it keeps."""

from chassis.delivery import KeptWithAppend, project, whenever
from prm_contracts.deals import DEALS, ConflictCheckRequested, DealRegistered
from prm_contracts.partners import PARTNERS
from prm_contracts.territories import (
    ALIGNMENTS,
    CONFLICT_CHECKS,
    TERRITORIES,
    AlignmentActivated,
    OpenSubjectsRechecked,
    TerritoryConflictChecked,
)
from territory_svc import policies, projections

POLICIES = (
    whenever(DealRegistered, policies.check_registered_deal, key="check-registered-deal"),
    whenever(ConflictCheckRequested, policies.check_deal_on_request, key="check-deal-on-request"),
    whenever(
        TerritoryConflictChecked, policies.recheck_outdated_subject, key="recheck-outdated-subject"
    ),
    whenever(AlignmentActivated, policies.overtake_alignments, key="overtake-alignments"),
    whenever(
        AlignmentActivated, policies.recheck_undecided_subjects, key="recheck-undecided-subjects"
    ),
    whenever(OpenSubjectsRechecked, policies.recheck_next_subjects, key="recheck-next-subjects"),
)
PROJECTIONS = (
    project(TERRITORIES, projections.territory_list),
    project(ALIGNMENTS, projections.alignment_list),
    project(ALIGNMENTS, projections.alignment_changes),
    project(CONFLICT_CHECKS, projections.conflict_check_list),
    project(PARTNERS, projections.partners),
    project(DEALS, projections.open_deals),
)
KEPT_WITH_APPEND = (
    KeptWithAppend(
        "territory_map",
        ("territory_map", "territory_cells", "checked_subjects"),
        trigger="keep_map",
        first_rows="INSERT INTO territory_map (alignment_version) VALUES (0)",
    ),
)
DEADLINES = ()
