"""Somebody with a token at the public APIs, as any internal application would use them."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from ops.client import Client, Role
from ops.failures import OpsError
from ops.loopback import HTTP


@dataclass(frozen=True)
class Refused:
    """A command that was refused: the problem document and its status."""

    status: int
    problem: dict[str, Any]

    @property
    def rule(self) -> str:
        return str(self.problem.get("type", "")).removeprefix("urn:problem:")


@dataclass(frozen=True)
class Person:
    """Tells services commands and asks them questions. `name`: for the story."""

    name: str
    urls: dict[str, str]
    token: str

    @staticmethod
    def with_role(client: Client, role: Role, name: str, partner: str | None = None) -> "Person":
        return Person(name, client.state.urls, client.token(role, partner, name))

    def tell(self, service: str, path: str, **body: Any) -> str:
        """Gives a command; the id of what it addressed. Raises OpsError if it is refused."""
        answer = self.try_to_tell(service, path, **body)
        if isinstance(answer, Refused):
            raise OpsError(f"{service} refused POST {path}: {answer.status} {answer.problem}")
        return answer

    def try_to_tell(
        self, service: str, path: str, *, seen: int | None = None, **body: Any
    ) -> str | Refused:
        """Like `tell`, for a command that may be refused. `seen`: the version that was read."""
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": str(uuid4())}
        headers |= {"If-Match": f'"{seen}"'} if seen else {}
        answer = HTTP.post(self.urls[service] + path, json=body, headers=headers)
        if answer.is_success:
            return str(answer.json()["id"])
        return Refused(answer.status_code, dict(answer.json()))

    def ask(self, service: str, path: str, **filters: str | int) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = HTTP.get(self.urls[service] + path, params=filters, headers=headers)
        if not answer.is_success:
            raise OpsError(f"{service} refused GET {path}: {answer.status_code} {answer.text}")
        return dict(answer.json())
