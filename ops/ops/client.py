"""The operator's side of the services' HTTP: tokens, state, story clock, dead letters."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

import httpx2

from ops.failures import OpsError
from ops.loopback import HTTP
from ops.registry import ISSUER
from ops.state import State

Role = Literal[
    "channel-account-manager",
    "channel-operations",
    "partner-admin",
    "partner-seller",
    "finance-approver",
    "integrator",
    "platform-operator",
]
TOKEN_USED_FOR = 1800  # seconds; it lives for an hour
OF_A_PARTNER: tuple[Role, ...] = ("partner-admin", "partner-seller")


@dataclass
class Client:
    """Talks to a running platform. Every method raises OpsError with the way out."""

    state: State
    _own_token: str = ""
    _token_until: float = float("-inf")

    def token(self, role: Role, partner: str | None = None, person: str | None = None) -> str:
        """An access token of a contact with that role; for partner roles, of that partner."""
        if role in OF_A_PARTNER and not partner:
            raise OpsError(f"The role {role} is a partner's: say which with --partner ID.")
        form = {"grant_type": "client_credentials", "client_id": "operator", "role": role}
        form |= {"client_secret": self.state.secrets.operator_secret}
        form |= {"partner_id": partner} if partner else {}
        form |= {"person": person} if person else {}
        answer = self._send("POST", ISSUER.name, "/oauth/token", data=form)
        return str(answer["access_token"])

    def state_of(self, service: str) -> dict[str, Any]:
        """service, now, ready, reasons, head, published, lag, parked, dead, next_deadline."""
        return self._ask("GET", service, "/ops/state")

    def set_clock(self, service: str, to: datetime) -> None:
        """Fires the service's own deadlines due up to then, in order, before it answers."""
        self._ask("POST", service, "/ops/clock", json={"advance_to": to.isoformat()})

    def failed_mails(self) -> list[dict[str, Any]]:
        """All, newest first."""
        found, asked = list[dict[str, Any]](), {"limit": 200}
        while True:
            page = self._ask("GET", "notify-svc", "/v1/failed-mails", params=asked)
            found += page["items"]
            if not page["next_cursor"]:
                return found
            asked["cursor"] = page["next_cursor"]

    def retry_mail(self, notification_id: str) -> None:
        self._ask("POST", "notify-svc", f"/v1/notifications/{notification_id}/retry-mail")

    def dead_letters(self, service: str, state: str | None, limit: int) -> list[dict[str, Any]]:
        asked = {"limit": limit} | ({"state": state} if state else {})
        answer = self._ask("GET", service, "/ops/dead-letters", params=asked)
        return list(answer["items"])

    def dead_letter(self, service: str, id: str, verb: str | None = None) -> dict[str, Any]:
        """One dead letter; verb: what to do with it, `redrive` or `discard`."""
        path = f"/ops/dead-letters/{id}"
        if verb:
            return self._ask("POST", service, f"{path}/{verb}")
        return self._ask("GET", service, path)

    def reset_tracking(self, service: str, topic: str, partition: int | None) -> None:
        """The service reads the topic, or one partition of it, from its beginning again."""
        asked = {"topic": topic, "partition": partition}
        self._ask("POST", service, "/ops/tracking/reset", json=asked)

    def _ask(self, method: str, service: str, path: str, **what: Any) -> dict[str, Any]:
        if time.monotonic() > self._token_until:
            self._own_token = self.token("platform-operator")
            self._token_until = time.monotonic() + TOKEN_USED_FOR
        headers = {"Authorization": f"Bearer {self._own_token}", "Idempotency-Key": str(uuid4())}
        return self._send(method, service, path, headers=headers, **what)

    def _send(self, method: str, service: str, path: str, **what: Any) -> dict[str, Any]:
        url = self.state.urls.get(service)
        if not url:
            raise OpsError(f"There is no {service} here: it may be {', '.join(self.state.urls)}.")
        try:
            answer = HTTP.request(method, url + path, **what)
        except httpx2.HTTPError as error:
            raise OpsError(
                f"{service} does not answer at {url} ({error}). `make up` starts what is missing; "
                f"`prm logs {service}` shows its last words."
            ) from error
        if answer.is_success:
            return dict(answer.json()) if answer.content else {}
        raise OpsError(f"{service} refused {method} {path}: {answer.status_code} {answer.text}")
