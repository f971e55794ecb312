"""A partner company from application to end: what it refuses and what it records."""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import Field

from chassis.aggregates import Aggregate
from chassis.context import Actor
from chassis.errors import Conflict, Forbidden, Invalid, NotFound
from partner_svc.domain.contact import Contact
from partner_svc.domain.reservation import UniqueKey, reservation_id
from prm_contracts.codes import COUNTRIES, CURRENCIES
from prm_contracts.facts import Personal, Value
from prm_contracts.partners import (
    ChannelManagerAssigned,
    PartnerActivated,
    PartnerApplicationRejected,
    PartnerFact,
    PartnerRegistered,
    PartnerReinstated,
    PartnerSuspended,
    PartnerType,
    SimilarPartner,
)
from prm_contracts.values import (
    Code,
    Country,
    Currency,
    Domain,
    Duns,
    ExternalId,
    Name,
    Subdivision,
    TaxId,
    ZoneName,
)

MOST = 20  # of anything that a company has several of: each unique key is a stream to load


class Status(StrEnum):
    APPLIED = "applied"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    TERMINATED = "terminated"


class Profile(Value):
    """Who applies. `currency`, `time_zone`: those that its business is kept in."""

    legal_name: Name
    trading_names: tuple[Name, ...] = Field((), max_length=MOST)
    country: Country
    subdivision: Subdivision | None = None
    types: tuple[PartnerType, ...] = Field(min_length=1, max_length=MOST)
    currency: Currency
    time_zone: ZoneName
    domains: tuple[Domain, ...] = Field((), max_length=MOST)
    tax_id: TaxId | None = None
    duns: Duns | None = None
    external_ids: tuple[ExternalId, ...] = Field((), max_length=MOST)


class PartnerNotFound(NotFound):
    """There is no such partner, or it is not yours."""


@dataclass(eq=False)
class CodeUnknown(Invalid):
    """There is no such code today: choose an existing one for the field named here."""

    field: str
    value: str


@dataclass(eq=False)
class PartnerNotApplied(Conflict):
    """Only an open application can be decided: load it again and look at its status."""

    partner_id: UUID
    partner_status: Status


@dataclass(eq=False)
class PartnerNotActive(Conflict):
    """Only an active partner can be suspended: load it again and look at its status."""

    partner_id: UUID
    partner_status: Status


@dataclass(eq=False)
class PartnerNotSuspended(Conflict):
    """Only a suspended partner can be reinstated: load it again and look at its status."""

    partner_id: UUID
    partner_status: Status


@dataclass(eq=False)
class PartnerTerminated(Conflict):
    """This partnership has ended: register the company anew."""

    partner_id: UUID


@dataclass(eq=False)
class FourEyesNeeded(Forbidden):
    """Who registered a partner cannot approve it: ask another person of operations."""

    registered_by: UUID


@dataclass(eq=False)
class NotAChannelManager(Conflict):
    """This takes an active vendor contact who is a channel account manager: choose another."""

    contact_id: UUID


def unique_keys(named: Profile | PartnerRegistered) -> tuple[UniqueKey, ...]:
    """Each once, sorted, so that repeated entries in one application do not clash."""
    keys = {("domain", domain) for domain in named.domains}
    keys |= {("external-id", f"{external.system} {external.id}") for external in named.external_ids}
    if named.tax_id:
        keys.add(("tax-id", f"{named.country} {named.tax_id}"))
    if named.duns:
        keys.add(("duns", named.duns))
    return tuple(
        UniqueKey(scope=scope, reservation_id=reservation_id(scope, key))
        for scope, key in sorted(keys)
    )


def refuse_unknown_codes(profile: Profile) -> None:
    """Raises CodeUnknown for the first field whose code does not exist."""
    known = {
        "country": (profile.country, COUNTRIES),
        "currency": (profile.currency, CURRENCIES),
        "time_zone": (profile.time_zone, available_timezones()),
    }
    for field, (value, codes) in known.items():
        if value not in codes:
            raise CodeUnknown(field, value)
    if profile.subdivision and not profile.subdivision.startswith(f"{profile.country}-"):
        raise CodeUnknown("subdivision", profile.subdivision)


class Partner(Aggregate[PartnerFact]):
    not_found = PartnerNotFound
    status: Status
    registered_by: UUID
    keys: tuple[UniqueKey, ...] = ()
    channel_manager_id: UUID | None = None

    def register(
        self, actor: Actor, profile: Profile, similar_to: tuple[SimilarPartner, ...]
    ) -> None:
        refuse_unknown_codes(profile)
        given = {name: getattr(profile, name) for name in Profile.model_fields}
        self.record(PartnerRegistered(**given, similar_to=similar_to, registered_by=actor.id))

    def approve(self, actor: Actor, terms_version: Code) -> None:
        if self.status is not Status.APPLIED:
            raise PartnerNotApplied(self.id, self.status)
        if actor.id == self.registered_by:
            raise FourEyesNeeded(self.registered_by)
        self.record(PartnerActivated(approved_by=actor.id, terms_version=terms_version))

    def reject(self, actor: Actor, reason_code: Code, note: Personal | None) -> None:
        if self.status is not Status.APPLIED:
            raise PartnerNotApplied(self.id, self.status)
        by = actor.id
        self.record(PartnerApplicationRejected(rejected_by=by, reason_code=reason_code, note=note))

    def suspend(self, actor: Actor, reason_code: Code, note: Personal | None) -> None:
        if self.status is not Status.ACTIVE:
            raise PartnerNotActive(self.id, self.status)
        self.record(PartnerSuspended(suspended_by=actor.id, reason_code=reason_code, note=note))

    def reinstate(self, actor: Actor, note: Personal | None) -> None:
        if self.status is not Status.SUSPENDED:
            raise PartnerNotSuspended(self.id, self.status)
        self.record(PartnerReinstated(reinstated_by=actor.id, note=note))

    def assign_channel_manager(self, actor: Actor, manager: Contact) -> None:
        self.refuse_ended()
        if not manager.is_channel_manager:
            raise NotAChannelManager(manager.id)
        if manager.id != self.channel_manager_id:
            self.record(ChannelManagerAssigned(contact_id=manager.id, assigned_by=actor.id))

    def refuse_ended(self) -> None:
        if self.status is Status.TERMINATED:
            raise PartnerTerminated(self.id)

    def apply(self, fact: PartnerFact) -> None:
        match fact:
            case PartnerRegistered():
                self.status, self.tenant_id = Status.APPLIED, self.id
                self.registered_by, self.keys = fact.registered_by, unique_keys(fact)
            case PartnerActivated() | PartnerReinstated():
                self.status = Status.ACTIVE
            case PartnerApplicationRejected():
                self.status = Status.TERMINATED
            case PartnerSuspended():
                self.status = Status.SUSPENDED
            case ChannelManagerAssigned():
                self.channel_manager_id = fact.contact_id
            case _:
                assert_never(fact)
