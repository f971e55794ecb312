"""The commands that territory-svc accepts: load, tell, save."""

from territory_svc.application.alignment import (
    Change,
    activate_alignment,
    approve_alignment,
    change_territory,
    draft_alignment,
    overtake_alignments,
    validate_alignment,
)
from territory_svc.application.conflict_check import (
    check_subject,
    recheck_outdated_subject,
    recheck_undecided_subjects,
)

__all__ = [
    "Change",
    "activate_alignment",
    "approve_alignment",
    "change_territory",
    "check_subject",
    "draft_alignment",
    "overtake_alignments",
    "recheck_outdated_subject",
    "recheck_undecided_subjects",
    "validate_alignment",
]
