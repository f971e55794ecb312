"""The published description of an API: problems, roles and headers, as they really are."""

from typing import Any

from fastapi import FastAPI

from chassis.web.problems import MEDIA_TYPE, Problem

PROBLEM = {
    "description": "A problem document (RFC 9457); its `type` is stable.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
TOLD = {
    "401": ("WWW-Authenticate", "Which token is needed."),
    "408": ("Connection", "close"),
    "429": ("Retry-After", "In seconds."),
    "503": ("Retry-After", "In seconds."),
}
ANSWERED = {
    "ETag": "The aggregate's version; to be sent as If-Match.",
    "Prm-Position": "To be sent with a question that shall see what this command did.",
}
REPLAYED = "true: this is the first outcome of a repeated command."
NEEDED = "needed"  # of a header that the operation takes already: not without it
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
    schema["components"]["responses"] = {"Problem": PROBLEM} | {
        f"Problem{status}": PROBLEM | {"headers": {name: _header(text)}}
        for status, (name, text) in TOLD.items()
    }
    for operations in schema.get("paths", {}).values():
        for method in METHODS:
            if method in operations:
                _complete_operation(operations[method], method, schemas)
                _complete_list(operations[method], schemas)
    _link(schema.get("paths", {}))
    return schema


def _complete_operation(operation: dict[str, Any], method: str, schemas: dict[str, Any]) -> None:
    given = operation.get("parameters", [])
    needed = {each["name"].lower() for each in given if each.get("description") == NEEDED}
    operation["parameters"] = [each for each in given if each.get("description") != NEEDED]
    for parameter in operation["parameters"]:
        parameter["schema"] = without_null(parameter["schema"])
        parameter["required"] |= parameter["name"] in needed
    roles = sorted(
        {role for way in operation.get("security", ()) for held in way.values() for role in held}
    )
    if roles:
        said = operation.get("description", "")
        operation["description"] = f"{said}\n\nRoles: {', '.join(roles)}.".strip()
    responses = operation["responses"]
    responses.pop("422", None)
    for answer in responses.values():
        _complete_accepted(answer, schemas)
    for status in sorted(problems_of(operation, method)):
        name = f"Problem{status}" if status in TOLD else "Problem"
        responses.setdefault(status, {"$ref": f"#/components/responses/{name}"})


def problems_of(operation: dict[str, Any], method: str) -> set[str]:
    """The statuses of all refusals that the operation may answer: what is not here is a fault."""
    parameters = {each["name"]: each for each in operation["parameters"]}
    found = {"422"}
    if method != "get":
        found |= {"408", "413", "415"}
    if operation.get("security"):
        found |= {"401", "403", "503"}
    if "idempotency-key" in parameters:
        found |= {"400", "404", "409", "412", "429"}
    if parameters.get("if-match", {}).get("required"):
        found |= {"428"}
    if parameters.keys() & {"cursor", "prm-position"}:
        found |= {"400"}
    if "fields" in parameters:
        found |= {"406"}
    if any(each["in"] == "path" for each in parameters.values()):
        found |= {"404"} | ({"409"} if method != "get" else set())
    return found


def _complete_accepted(answer: dict[str, Any], schemas: dict[str, Any]) -> None:
    """What a command on an aggregate answers has its version and place in headers."""
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in schema and {"id", "version"} <= schemas[_named(schema)]["properties"].keys():
        answer["headers"] = {name: _header(text) for name, text in ANSWERED.items()}
        answer["headers"]["Idempotent-Replayed"] = _header(REPLAYED, required=False)


def _link(paths: dict[str, dict[str, Any]]) -> None:
    """What a command creates, all operations on one record of its collection can be asked of."""
    for path, operations in paths.items():
        collection, _, rest = path.partition("/{")
        name, _, _ = rest.partition("}")
        created = paths.get(collection, {}).get("post", {}).get("responses", {}).get("201", {})
        if name and "ETag" in created.get("headers", {}):
            for operation in operations.values():
                created.setdefault("links", {})[operation["operationId"]] = {
                    "operationId": operation["operationId"],
                    "parameters": {f"path.{name}": "$response.body#/id"},
                }


def _header(text: str, *, required: bool = True) -> dict[str, Any]:
    return {"description": text, "required": required, "schema": {"type": "string"}}


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What is not given is not null: a parameter of HTTP is a text."""
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    rest = {name: of for name, of in schema.items() if name != "anyOf"}
    match choices:
        case []:
            return schema
        case [only]:
            return {**rest, **only}
        case _:
            return rest | {"anyOf": choices}


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
