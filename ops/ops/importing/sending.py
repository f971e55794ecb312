"""Commands of an import on their way to a service, each once in effect however often it is sent."""

import math
import time
from collections.abc import Callable, Mapping
from threading import Event, Lock
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4, uuid5

import httpx2

from ops.client import TOKEN_USED_FOR, Client
from ops.failures import OpsError
from ops.importing.kinds import Kind, Reference, Told
from ops.importing.rows import Row, RowError

NAMESPACE = UUID("6b0f6a52-6f0e-5a55-9e0f-3a1c2f1f7d10")
PATIENCE = 600.0  # seconds that a service may take no commands, before the import gives up
READ_WITHIN = 30.0  # seconds, from when it last came nearer
BUSY = (429, 503)
NOT_EVIDENCE = {"type", "title", "status", "correlation_id", "errors"}
OUT_OF_RANGE = "urn:problem:original-time-out-of-range"


class Sending:
    """To one service. `http` keeps its connections, and takes several threads at once."""

    def __init__(
        self,
        client: Client,
        http: httpx2.Client,
        kind: Kind,
        rest: Callable[[float], object] | None = None,
    ) -> None:
        self._client, self._http, self._kind = client, http, kind
        self._closed = Event()
        self._rest = rest or self._closed.wait
        self._tokens: dict[str, tuple[str, float]] = {}
        self._one_asks = Lock()

    def close(self) -> None:
        """Nothing is sent any more: whoever waits for a busy service ends."""
        self._closed.set()

    def openapi(self, person: str) -> dict[str, Any]:
        return dict(self._asked(self._kind.service, "/openapi.json", person).json())

    def told(
        self, row: Row, told: Told, person: str, seen: int | None = None
    ) -> dict[str, Any] | list[RowError]:
        """What the command answered, the first time if it was sent before; or why not. `seen`: the
        version that it is about.

        Waits while the service takes no commands. Raises OpsError after PATIENCE.
        """
        headers = {
            "Idempotency-Key": key_of(self._kind, row, told),
            "Prm-Occurred-At": told.occurred_at,
        }
        headers |= {"If-Match": f'"{seen}"'} if seen else {}
        url = self._client.state.urls[self._kind.service] + told.path
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not self._closed.is_set():
            try:
                answer = self._http.post(
                    url, json=told.body, headers=headers | self._bearer(person)
                )
            except httpx2.TransportError:  # whether it was done, the key knows
                self._rest(1)
                continue
            if answer.is_success:
                return dict(answer.json())
            if answer.status_code not in BUSY:
                return refused(row, told, answer)
            self._rest(float(answer.headers.get("Retry-After", "1")))
        raise OpsError(
            f"{self._kind.service} took no commands for {PATIENCE:.0f} s: `prm doctor` says why."
            " The same import goes on afterwards."
        )

    def known(self, refers: Reference, person: str) -> dict[str, str]:
        """Ids by all names that rows may use for them."""
        found: dict[str, str] = {}
        id_field, *_ = refers.shown
        asked = {"limit": "200", "fields": ",".join(refers.shown)}
        while True:
            path = f"{refers.list_path}?{urlencode(asked)}"
            answer = self._asked(refers.service, path, person).json()
            for item in answer["items"]:
                found |= dict.fromkeys(refers.names(item), item[id_field])
            if not answer["next_cursor"]:
                return found
            asked["cursor"] = answer["next_cursor"]

    def is_there(self, id: str, person: str) -> bool:
        answer = self._get(self._kind.service, f"{self._kind.collection}/{id}", person)
        return answer.status_code != httpx2.codes.NOT_FOUND

    def wait_until_read(self, service: str) -> None:
        """Until its lists show all that was told to it before. Raises OpsError, if it stands."""
        least, end = math.inf, time.monotonic() + READ_WITHIN
        while behind := self._behind(service):
            if behind < least:
                least, end = behind, time.monotonic() + READ_WITHIN
            elif time.monotonic() > end:
                raise OpsError(
                    f"{service} has not read all yet, and gets no further: its lists do not show"
                    " what rows refer to. `prm status` says where it waits."
                )
            self._rest(0.2)

    def _behind(self, service: str) -> float:
        state = self._client.state_of(service)
        if state["lag"] < 0:  # nobody knows, the broker is away
            return math.inf
        return float(state["lag"] + state["head"] - state["published"])

    def _asked(self, service: str, path: str, person: str) -> httpx2.Response:
        answer = self._get(service, path, person)
        if not answer.is_success:
            raise OpsError(f"{service} refused GET {path}: {answer.text}")
        return answer

    def _get(self, service: str, path: str, person: str) -> httpx2.Response:
        url = self._client.state.urls[service] + path
        try:
            return self._http.get(url, headers=self._bearer(person))
        except httpx2.TransportError as fault:
            raise OpsError(
                f"{service} does not answer ({fault}): `prm doctor` says why."
            ) from fault

    def _bearer(self, person: str) -> dict[str, str]:
        with self._one_asks:
            token, until = self._tokens.get(person, ("", float("-inf")))
            if time.monotonic() > until:
                token = self._client.token("channel-operations", person=person)
                self._tokens[person] = (token, time.monotonic() + TOKEN_USED_FOR)
        return {"Authorization": f"Bearer {token}"}


def key_of(kind: Kind, row: Row, told: Told) -> str:
    """The Idempotency-Key: the same in every import of the row by the same person."""
    if told.over_if:
        return str(uuid4())
    return str(uuid5(NAMESPACE, f"{kind.name} {told.step} {kind.known_as(row.document)}"))


def refused(row: Row, told: Told, answer: httpx2.Response) -> list[RowError]:
    """What the API's problem document says, by the columns of the row."""
    try:
        problem: Mapping[str, Any] = answer.json()
    except ValueError:
        return [RowError(row.line, "", f"{answer.status_code} {answer.text[:200]}")]
    kind = problem["type"]
    if errors := problem.get("errors"):
        return [
            RowError(row.line, column_of(each["field"], told), each["message"], kind)
            for each in errors
        ]
    evidence = {name: value for name, value in problem.items() if name not in NOT_EVIDENCE}
    field = evidence.get("field")
    at = f"/{told.dated}" if kind == OUT_OF_RANGE else f"/{field}" if field else ""
    said = ", ".join(f"{name}: {value}" for name, value in evidence.items())
    return [RowError(row.line, at, problem["title"] + (f" ({said})" if said else ""), kind)]


def column_of(field: str, told: Told) -> str:
    if field == "/header/prm-occurred-at":
        return f"/{told.dated}"
    return field.removeprefix("/body").removeprefix(told.within)
