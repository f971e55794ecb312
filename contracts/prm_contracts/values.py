"""Values that facts of several services share: money, codes, deadlines, ids of other systems.

Shapes only: whether a code exists is asked when a command comes in, never when history loads.
"""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from prm_contracts.facts import Value

MAX_MINOR_UNITS = 2**53 - 1  # the largest integer that every JSON reader keeps exactly

Instant = AwareDatetime  # UTC, microseconds
ActorId = UUID  # a contact, an application or a service
MinorUnits = Annotated[int, Field(ge=0, le=MAX_MINOR_UNITS, description="integer minor units")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")]
BasisPoints = Annotated[int, Field(ge=0, le=10_000, description="1 bp = 0.01 %")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2")]
Subdivision = Annotated[str, Field(pattern=r"^[A-Z]{2}-[A-Z0-9]{1,3}$", description="ISO 3166-2")]
Industry = Annotated[str, Field(pattern=r"^[0-9]{2,6}$", description="NAICS 2022, 2-6 digits")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", description="BCP 47")]
ZoneName = Annotated[str, Field(min_length=1, max_length=64, description="IANA time zone")]
Domain = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$",
        max_length=253,
        description="web domain, lower case",
    ),
]
Duns = Annotated[str, Field(pattern=r"^[0-9]{9}$", description="D-U-N-S number")]
TaxId = Annotated[str, Field(pattern=r"^[A-Z0-9]{4,20}$", description="upper case, no separators")]
PostalCode = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9 -]{1,11}$")]
Code = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$", description="lower-case code")
]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]
Role = Literal[
    "channel-account-manager",
    "channel-operations",
    "partner-admin",
    "partner-seller",
    "finance-approver",
    "integrator",
    "platform-operator",
]
SizeBand = Literal["micro", "small", "medium", "large"]  # < 10, < 50, < 250, 250 and more people
OrganisationType = Literal["company", "public", "education", "non-profit"]
Channel = Literal["direct", "resale", "referral", "marketplace"]


class Deadline(Value):
    """An instant with what it was computed from; it never moves when zone rules change."""

    at: Instant
    local_date: date
    zone: ZoneName
    calendar_version: str = Field(min_length=1, max_length=40)


class ExternalId(Value):
    """What another system calls it; unique per system."""

    system: Code
    id: str = Field(min_length=1, max_length=200)


class Decision(Value):
    """Why a decision fell as it did, so that it can be run again on the same input.

    `decided_by`: the person, or the service when a rule decided. `input_hash`: SHA-256, hex, over
    what the rule saw, as stored.
    """

    decided_by: ActorId
    is_automatic: bool
    reason_code: Code
    rule_id: Code
    policy_version: Code
    input_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
