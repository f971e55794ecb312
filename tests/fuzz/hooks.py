"""What schemathesis cannot know: whose token an operation takes, and which refusals are rules."""

import json
import os
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

TOKENS: dict[str, str] = json.loads(os.environ["PRM_FUZZ_TOKENS"])  # by role
# Problems with the shape of a request. Any other refusal is a rule's: no description has rules.
SHAPE = ("urn:problem:request-invalid", "urn:problem:media-type-unsupported")


@schemathesis.auth(refresh_interval=None)
class ByRole:
    """A token of a role that the operation names."""

    def get(self, case: Case[Any], context: Any) -> str | None:
        ways = context.operation.definition.raw.get("security", ())
        roles = {role for way in ways for held in way.values() for role in held}
        return next((token for role, token in TOKENS.items() if role in roles), None)

    def set(self, case: Case[Any], data: str | None, context: Any) -> None:
        if data:
            case.headers["Authorization"] = f"Bearer {data}"


def is_positive(case: Case[Any]) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    if not is_positive(case):
        return
    if "idempotency-key" in (case.headers or {}):
        case.headers["idempotency-key"] = str(uuid4())  # else most are repeats of another request
    if "prm-occurred-at" in (case.headers or {}):  # most of all time is refused by a rule
        at = case.headers["prm-occurred-at"]
        case.headers["prm-occurred-at"] = "2016" + at[4:] if at < "1900" or at > "2020" else at
    if case.operation.path == "/ops/clock" and isinstance(case.body, dict):
        case.body["advance_to"] = datetime.now(UTC).isoformat()  # other stories want theirs
    case.body = with_whole_numbers(case.body)


def with_whole_numbers(value: Any) -> Any:
    """JSON Schema takes 5.0 for an integer; an API of money does not."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: with_whole_numbers(each) for name, each in value.items()}
        case list():
            return [with_whole_numbers(each) for each in value]
        case _:
            return value


@schemathesis.check
def a_shape_that_is_described_is_taken(
    ctx: CheckContext, response: Response, case: Case[Any]
) -> None:
    # U+0085 is white space to our patterns, and none to those of JSON Schema.
    if r"\u0085" in json.dumps(case.body, default=str):
        return
    if is_positive(case) and response.status_code in {415, 422}:
        assert response.json()["type"] not in SHAPE, response.json()
