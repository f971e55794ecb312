"""A partner's registered deal: what it refuses and what it records."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from approvals import (
    Decider,
    Item,
    Objection,
    objection_to_approving,
    objection_to_deciding,
    opening_step,
)
from chassis.aggregates import Aggregate
from chassis.context import Actor
from deal_svc.domain.decision import (
    Approver,
    ApproverLimitExceeded,
    Circumstances,
    ConflictCheckPending,
    ConflictCheckStale,
    DealAlreadyLeft,
    DealNotFound,
    DealNotInReview,
    DeciderRoleNeeded,
    FourEyesNeeded,
    PartnerCannotDecide,
    PartnerNeeded,
    Status,
)
from deal_svc.domain.exclusivity import DealNotAtHead
from deal_svc.domain.registration import KnownPartner, Registration, refuse_impossible, total_of
from deal_svc.domain.terms import DealTerms, window_end
from deal_svc.domain.verdict import (
    REASONS,
    Seen,
    by_person,
    by_rule,
    findings,
    input_hash,
    is_above_a_flag,
    seen_hash,
)
from prm_contracts.customers import EndCustomer
from prm_contracts.deals import (
    Claim,
    ConflictCheckRequested,
    DealApprovalStepDecided,
    DealApprovalStepOpened,
    DealApproved,
    DealCleared,
    DealConflictsFound,
    DealExpired,
    DealFact,
    DealLine,
    DealPromoted,
    DealQueued,
    DealRegistered,
    DealRejected,
    DealWithdrawn,
    RejectionReason,
)
from prm_contracts.facts import Personal
from prm_contracts.territories import Conflict as FoundConflict
from prm_contracts.territories import Dimensions, TerritoryConflictChecked
from prm_contracts.values import Code, Deadline, Decision


class Deal(Aggregate[DealFact]):
    not_found = DealNotFound
    status: Status
    registered: DealRegistered  # all that was registered: later checks and decisions need it
    subject_version: int = 1
    # (subject version, alignment version) of the last check that was taken
    checked: tuple[int, int] = (0, 0)
    open_step: int | None = None
    exclusive_until: Deadline | None = None

    @property
    def claims(self) -> tuple[Claim, ...]:
        return self.registered.claims

    def register(
        self,
        actor: Actor,
        asked: Registration,
        *,
        partner: KnownPartner,
        customer: EndCustomer,
        lines: Sequence[DealLine],
        claims: Sequence[Claim],
        now: datetime,
    ) -> None:
        partner.refuse_unless_active()
        refuse_impossible(asked, partner.time_zone, now)
        self.record(
            DealRegistered(
                partner_id=partner.partner_id,
                seller_id=asked.seller_id or actor.id,
                registered_by=actor.id,
                deal_type=asked.deal_type,
                customer=customer,
                customer_contact=asked.customer_contact,
                lines=tuple(lines),
                amount_minor=total_of(lines),
                currency=asked.currency,
                expected_close_on=asked.expected_close_on,
                time_zone=partner.time_zone,
                claims=tuple(claims),
                industry=asked.industry,
                size_band=asked.size_band,
                channel=asked.channel,
                organisation_type=asked.organisation_type,
                sales_activity=asked.sales_activity,
                help_wanted=asked.help_wanted,
                terms_version=partner.terms_version or "none",
                external_ids=asked.external_ids,
                based_on=(partner.basis,),
            )
        )

    def waits_for(self, check: TerritoryConflictChecked) -> bool:
        """Whether this answer is awaited: late, superseded and repeated ones are not."""
        answered = (check.subject_version, check.alignment_version)
        return check.subject_version == self.subject_version and (
            self.status is Status.CHECKING
            or (self.status is Status.IN_REVIEW and answered > self.checked)
        )

    def answer_conflict_check(
        self, seen: Seen, decided_by: UUID, terms: DealTerms, now: datetime
    ) -> None:
        """Gives the verdict and, where a rule may, the decision.

        An answer by an older map than the newest known is superseded: another one comes. While
        the partner is suspended nothing is decided; its reinstatement asks for a new check.
        """
        superseded = seen.check.alignment_version < seen.newest_alignment
        if superseded or seen.partner_status == "suspended" or not self.waits_for(seen.check):
            return
        conflicts = findings(seen)
        hashed = seen_hash(seen, amount_minor=self.registered.amount_minor)
        self._record_findings(seen, conflicts, decided_by, terms, hashed)
        hardest = conflicts[0].resolution if conflicts else "pass"
        match hardest:
            case "reject":
                reason, rule = REASONS[conflicts[0].kind], conflicts[0].rule_id
                decision = by_rule(decided_by, reason, rule, terms.policy_version, hashed)
                self._close_step(decided_by)
                self.record(DealRejected(decision=decision))
            case "channel-manager" | "review":
                self._open_step(terms)
            case "queue":
                self._close_step(decided_by)
                self.record(DealQueued(place=seen.place))
            case "flag" | "pass":
                self._approve_by_rule_or_ask(decided_by, terms, hashed, now)
            case _:
                assert_never(hardest)

    def _record_findings(
        self,
        seen: Seen,
        conflicts: tuple[FoundConflict, ...],
        decided_by: UUID,
        terms: DealTerms,
        hashed: str,
    ) -> None:
        is_clear = not (conflicts and is_above_a_flag(conflicts[0].resolution))
        reason = "clear" if is_clear else REASONS[conflicts[0].kind]
        rule = "nothing-above-a-flag" if is_clear else "hardest-conflict-decides"
        found: dict[str, Any] = {
            "subject_version": seen.check.subject_version,
            "check_id": seen.check_id,
            "alignment_version": seen.check.alignment_version,
            "conflicts": conflicts,
            "decision": by_rule(decided_by, reason, rule, terms.policy_version, hashed),
            "based_on": seen.check.based_on,
        }
        self.record(DealCleared(**found) if is_clear else DealConflictsFound(**found))

    def _approve_by_rule_or_ask(
        self, decided_by: UUID, terms: DealTerms, hashed: str, now: datetime
    ) -> None:
        if self.registered.amount_minor > terms.automatic_up_to.get(self.registered.currency, -1):
            self._open_step(terms)
            return
        rule = "clear-and-small"
        decision = by_rule(decided_by, "clear", rule, terms.policy_version, hashed)
        self._close_step(decided_by)
        self._approved(decision, terms, now)

    def _approved(
        self, decision: Decision, terms: DealTerms, now: datetime, is_unchecked: bool = False
    ) -> None:
        self.record(
            DealApproved(
                decision=decision,
                exclusive_from=now,
                exclusive_until=window_end(now, terms.window_days, self.registered.time_zone),
                discount_bp=terms.discount_bp,
                is_unchecked=is_unchecked,
            )
        )

    def _open_step(self, terms: DealTerms) -> None:
        """A step that waits already goes on waiting."""
        if self.open_step is None:
            amount = self.registered.amount_minor
            step = opening_step(terms.steps, amount)
            self.record(
                DealApprovalStepOpened(
                    step=step,
                    role=terms.steps[step - 1].role,
                    amount_minor=amount,
                    currency=self.registered.currency,
                )
            )

    def _close_step(self, by: UUID, outcome: Code = "closed") -> None:
        """`closed`: the deal left the step without a person's decision."""
        if self.open_step is not None:
            step = self.open_step
            self.record(DealApprovalStepDecided(step=step, outcome=outcome, decided_by=by))

    def request_check(self, reason: Code, newest_alignment: int) -> None:
        """Asks again where an answer is owed, or was given by an older map than the newest."""
        is_stale = self.status is Status.IN_REVIEW and self.checked[1] < newest_alignment
        if self.status is Status.CHECKING or is_stale:
            self._request_check(self.subject_version + 1, reason)

    def promote(self, place: int) -> None:
        """`place`: the worst over its lines; only at the head of all of them it moves up."""
        if self.status is Status.QUEUED and place == 1:
            self.record(DealPromoted(subject_version=self.subject_version + 1))
            self._request_check(self.subject_version, "promoted")

    def _request_check(self, subject_version: int, reason: Code) -> None:
        self.record(
            ConflictCheckRequested(
                subject_version=subject_version,
                reason_code=reason,
                dimensions=self.dimensions(),
                based_on=self.registered.based_on,
            )
        )

    def dimensions(self) -> Dimensions:
        deal = self.registered
        return Dimensions(
            partner_id=deal.partner_id,
            customer_id=deal.customer.customer_id,
            country=deal.customer.country,
            subdivision=deal.customer.subdivision,
            postal_code=deal.customer.postal_code,
            industry=deal.industry,
            families=tuple(claim.family for claim in deal.claims),
            size_band=deal.size_band,
            channel=deal.channel,
            organisation_type=deal.organisation_type,
        )

    def approve(
        self,
        approver: Approver,
        known: Circumstances,
        terms: DealTerms,
        now: datetime,
        *,
        unchecked: bool = False,
    ) -> None:
        """Exclusivity on all lines, by a person. `unchecked`: though no check has come yet."""
        is_unchecked = self.status is Status.CHECKING
        if is_unchecked and not unchecked:
            raise ConflictCheckPending(self.id)
        if not is_unchecked and self.status is not Status.IN_REVIEW:
            raise DealNotInReview(self.id, self.status)
        self._refuse_objection(
            objection_to_approving(
                self._decider(approver), self._item(), terms.steps, self.open_step or 1
            ),
            approver,
        )
        known.partner.refuse_unless_active()
        if not is_unchecked and self.checked[1] < known.newest_alignment:
            raise ConflictCheckStale(self.id, self.checked[1], known.newest_alignment)
        if known.place != 1:
            raise DealNotAtHead(self.id, known.place)
        hashed = input_hash(
            deal_id=str(self.id),
            deal_version=self.version,
            limit_minor=approver.limit_minor,
            newest_alignment=known.newest_alignment,
            partner_version=known.partner.version,
        )
        decision = by_person(approver.actor.id, "approved", terms.policy_version, hashed)
        self._close_step(approver.actor.id, "approved")
        self._approved(decision, terms, now, is_unchecked)

    def reject(
        self,
        approver: Approver,
        partner: KnownPartner,
        terms: DealTerms,
        reason: RejectionReason,
        note: Personal | None,
    ) -> None:
        """By a person; it takes no limit. A deal that waits in line may be rejected too."""
        if self.status not in {Status.IN_REVIEW, Status.QUEUED}:
            raise DealNotInReview(self.id, self.status)
        self._refuse_objection(
            objection_to_deciding(
                self._decider(approver), self._item(), terms.steps, self.open_step or 1
            ),
            approver,
        )
        partner.refuse_unless_active()
        hashed = input_hash(deal_id=str(self.id), deal_version=self.version, reason=reason)
        decision = by_person(approver.actor.id, reason, terms.policy_version, hashed)
        self._close_step(approver.actor.id, "rejected")
        self.record(DealRejected(decision=decision, note=note))

    def _decider(self, approver: Approver) -> Decider:
        actor = approver.actor
        return Decider(actor.id, actor.tenant_id is None, actor.roles, approver.limit_minor)

    def _item(self) -> Item:
        deal = self.registered
        return Item(deal.amount_minor, frozenset({deal.registered_by, deal.seller_id}))

    def _refuse_objection(self, objection: Objection | None, approver: Approver) -> None:
        match objection:
            case None:
                return
            case Objection.PARTNER_STAFF:
                raise PartnerCannotDecide
            case Objection.ROLE:
                raise DeciderRoleNeeded
            case Objection.SAME_PERSON:
                raise FourEyesNeeded
            case Objection.LIMIT:
                deal = self.registered
                raise ApproverLimitExceeded(deal.amount_minor, deal.currency, approver.limit_minor)
            case _:
                assert_never(objection)

    def withdraw(self, actor: Actor, note: Personal | None) -> None:
        """By the partner: sellers their own deals, administrators all. It leaves its lines."""
        if actor.tenant_id is None:
            raise PartnerNeeded
        own = {self.registered.seller_id, self.registered.registered_by}
        if "partner-admin" not in actor.roles and actor.id not in own:
            raise DealNotFound(self.id)
        if self.status in {Status.REJECTED, Status.EXPIRED}:
            raise DealAlreadyLeft(self.id, self.status)
        if self.status is not Status.WITHDRAWN:
            self._close_step(actor.id)
            self.record(DealWithdrawn(withdrawn_by=actor.id, note=note))

    def expire(self, due_at: datetime) -> None:
        """`due_at`: of the deadline that fired; one that was moved meanwhile changes nothing."""
        until = self.exclusive_until
        if self.status is Status.APPROVED and until is not None and until.at == due_at:
            self.record(DealExpired(due_at=due_at))

    def apply(self, fact: DealFact) -> None:
        match fact:
            case DealRegistered():
                self.status, self.registered = Status.CHECKING, fact
                self.tenant_id = fact.partner_id
            case ConflictCheckRequested():
                self.subject_version = fact.subject_version
            case DealCleared() | DealConflictsFound():
                self.status = Status.IN_REVIEW
                self.checked = (fact.subject_version, fact.alignment_version)
            case DealQueued():
                self.status = Status.QUEUED
            case DealPromoted():
                self.status, self.subject_version = Status.CHECKING, fact.subject_version
            case DealApprovalStepOpened():
                self.open_step = fact.step
            case DealApprovalStepDecided():
                self.open_step = None
            case DealApproved():
                self.status, self.exclusive_until = Status.APPROVED, fact.exclusive_until
            case DealRejected():
                self.status = Status.REJECTED
            case DealWithdrawn():
                self.status = Status.WITHDRAWN
            case DealExpired():
                self.status = Status.EXPIRED
            case _:
                assert_never(fact)


def families_of(lines: Sequence[DealLine]) -> tuple[Code, ...]:
    """Each once, in the order of the lines."""
    return tuple(dict.fromkeys(line.family for line in lines))
