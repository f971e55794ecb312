"""Every operation of every service, as its OpenAPI document names it, and requests that fit it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2

from ops.client import Role
from ops.registry import SERVICES

from .story import Story

ROLES: tuple[Role, ...] = (
    "channel-operations",
    "channel-account-manager",
    "partner-seller",
    "platform-operator",
    "finance-approver",
    "integrator",
    "partner-admin",
)
A_RECORD = str(uuid4())  # which there is not


@dataclass(frozen=True)
class Operation:
    service: str
    url: str
    method: str
    path: str
    document: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}"

    @property
    def roles(self) -> set[str]:
        ways = self.document.get("security", ())
        return {role for way in ways for held in way.values() for role in held}

    @property
    def takes_json(self) -> bool:
        return "application/json" in self.document.get("requestBody", {}).get("content", {})

    @property
    def is_command(self) -> bool:
        return "idempotency-key" in self.parameters("header")

    def parameters(self, where: str) -> dict[str, dict[str, Any]]:
        given = self.document.get("parameters", ())
        return {each["name"]: each for each in given if each["in"] == where}

    def filled(self, value: str = "") -> str:
        """The address with `value`, or a record that there is not, in the place of each id."""
        named = {"number": "999999"}
        return self.url + re.sub(
            r"\{(\w+)\}", lambda it: value or named.get(it[1], A_RECORD), self.path
        )

    @property
    def needed(self) -> dict[str, str]:
        """Query parameters that it cannot do without."""
        return {name: A_RECORD for name, it in self.parameters("query").items() if it["required"]}


@dataclass(frozen=True)
class Asking:
    """Sends requests as somebody who may. A header of None is left out."""

    http: httpx2.Client
    tokens: Mapping[Any, str]  # by role
    all: tuple[Operation, ...]

    def send(
        self,
        operation: Operation,
        url: str = "",
        *,
        params: Any = None,
        content: bytes | None = None,
        method: str = "",
        **headers: str | None,
    ) -> httpx2.Response:
        given = {"authorization": self.bearer(operation), "idempotency-key": str(uuid4())}
        if operation.takes_json and "content_type" not in headers:
            given["content-type"] = "application/json"
        if "if-match" in operation.parameters("header"):
            given["if-match"] = '"1"'
        given |= {name.replace("_", "-"): text for name, text in headers.items()}
        return self.http.request(
            method or operation.method,
            url or operation.filled(),
            params=operation.needed if params is None else params,
            content=content,
            headers={name: text for name, text in given.items() if text is not None},
        )

    def bearer(self, operation: Operation) -> str | None:
        role = next((role for role in ROLES if role in operation.roles), None)
        return f"Bearer {self.tokens[role]}" if role else None


def asking(story: Story, partner_id: str) -> Asking:
    """The tokens of partner roles are of this partner."""
    tokens = {
        role: story.platform.client.token(role, partner_id if role.startswith("partner-") else None)
        for role in ROLES
    }
    return Asking(story.http, tokens, tuple(operations(story)))


def operations(story: Story) -> list[Operation]:
    found = []
    for service in SERVICES:
        url = story.platform.url(service.name)
        document = story.http.get(f"{url}/openapi.json").json()
        for path, each in document["paths"].items():
            found += [
                Operation(service.name, url, method.upper(), path, it)
                for method, it in each.items()
            ]
    return found
