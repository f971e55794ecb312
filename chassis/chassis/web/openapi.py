"""The published description of an API: problems, roles and headers, as they really are."""

from typing import Any

from fastapi import FastAPI

from chassis.web.problems import MEDIA_TYPE, Problem

PROBLEM = {
    "description": "A problem document (RFC 9457); its `type` is stable.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
ANSWERED = {
    "ETag": "The aggregate's version; to be sent as If-Match.",
    "Prm-Position": "To be sent with a question that shall see what this command did.",
    "Idempotent-Replayed": "true: this is the first outcome of a repeated command.",
}
EVENTS = "text/event-stream"
LIVE = (
    "Server-sent events: `changed`, its data a document of the list; `left`, its data the id of an"
    " aggregate that the filters leave out now. The first id is the place from which all changes"
    " are told: read the list after it. Send the last one as Last-Event-ID to go on."
)
NEVER_SENT = ("HTTPValidationError", "ValidationError")
METHODS = ("get", "post", "put", "delete")


def describe(app: FastAPI) -> None:
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = complete(plain())
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign] # FastAPI's own way to extend it


def complete(schema: dict[str, Any]) -> dict[str, Any]:
    """Adds what FastAPI cannot know: how refusals are answered, and who may ask."""
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for name in NEVER_SENT:
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs") | {"Problem": problem}
    for operations in schema.get("paths", {}).values():
        for method in METHODS:
            if method in operations:
                _complete_operation(operations[method])
                _complete_list(operations[method], schemas)
    return schema


def _complete_operation(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    responses["default"] = PROBLEM
    roles = sorted(
        {role for way in operation.get("security", ()) for held in way.values() for role in held}
    )
    if roles:
        said = operation.get("description", "")
        operation["description"] = f"{said}\n\nRoles: {', '.join(roles)}.".strip()
    names = {parameter["name"].lower() for parameter in operation.get("parameters", ())}
    if "idempotency-key" in names:
        for status in responses.keys() & {"200", "201"}:
            responses[status]["headers"] = {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in ANSWERED.items()
            }


def _complete_list(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A list shows whole documents or the members asked for, and can be followed as events."""
    if not any(parameter["name"] == "fields" for parameter in operation.get("parameters", ())):
        return
    content = operation["responses"]["200"]["content"]
    content[EVENTS] = {"schema": {"type": "string", "description": LIVE}}
    listed = schemas[_named(content["application/json"]["schema"])]
    whole = listed["properties"]["items"]["items"]
    if "$ref" in whole:
        name = _named(whole)
        sparse = {member: of for member, of in schemas[name].items() if member != "required"}
        schemas[f"Sparse{name}"] = sparse | {"title": f"Sparse{name}"}
        either = [whole, {"$ref": f"#/components/schemas/Sparse{name}"}]
        listed["properties"]["items"]["items"] = {"anyOf": either}


def _named(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]
