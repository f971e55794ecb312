"""The catalogue as an AsyncAPI 3 document: topics, messages, headers, as plain values."""

import json
import re
from collections.abc import Iterable
from inspect import cleandoc
from typing import Any, Final

from prm_contracts.examples import EXAMPLES
from prm_contracts.facts import Fact, Topic

TITLE: Final = "Partner Relationship Management: published facts"
DESCRIPTION: Final = """\
Every fact of the platform, from the first one on. CloudEvents 1.0 in Kafka binary mode: the value
is the fact as JSON, its attributes are headers, all of them strings. The record's key is the id of
the aggregate. Guarantees and a consumer in 20 lines: README.md beside this file."""

PLAIN: Final = re.compile(r"\$?[a-zA-Z][\w.-]{3,}")  # yes, no, on, off are no words to YAML
INSTANT: Final = "RFC 3339 in UTC with six decimals"
HEX: Final = r"^[0-9a-f]{64}$"
# Name, JSON Schema, an example. Those of OPTIONAL are left out where there is nothing to say.
HEADERS: Final[tuple[tuple[str, dict[str, str], str], ...]] = (
    ("ce_specversion", {"const": "1.0"}, "1.0"),
    (
        "ce_id",
        {"format": "uuid", "description": "of the fact, UUIDv7"},
        "01956789-0000-7000-8000-000000000001",
    ),
    ("ce_type", {"description": "prm.<aggregate>.<Fact>.v<major>"}, ""),
    ("ce_source", {"description": "the service that alone writes the topic"}, ""),
    (
        "ce_subject",
        {"format": "uuid", "description": "the aggregate; equals the record's key"},
        "0b7ac8cc-3f2b-5a55-9a3d-54c3f4f4b8a1",
    ),
    ("ce_time", {"description": f"when it was true, {INSTANT}"}, "2027-03-01T09:00:00.000000Z"),
    (
        "ce_recordedat",
        {"description": f"when it was known, {INSTANT}; rises with ce_position"},
        "2027-03-01T09:00:00.000001Z",
    ),
    ("ce_dataschema", {"description": "the $id of the schema of the value"}, ""),
    (
        "ce_sequence",
        {"pattern": "^[1-9][0-9]*$", "description": "version of the aggregate, from 1, no gaps"},
        "1",
    ),
    (
        "ce_position",
        {"pattern": "^[1-9][0-9]*$", "description": "in the log of its service, no gaps"},
        "42",
    ),
    (
        "ce_correlationid",
        {"format": "uuid", "description": "of the request that it all began with"},
        "7f0c1c5e-8a3e-4d3b-9f54-0a4b7a1d2c3e",
    ),
    (
        "ce_causationid",
        {"format": "uuid", "description": "ce_id of the fact that caused it, if one did"},
        "01956789-0000-7000-8000-000000000000",
    ),
    (
        "ce_commandid",
        {"format": "uuid", "description": "of the command that recorded it"},
        "d1a5d3de-4c6c-5b0e-8a0e-6f0d6c2f1b7a",
    ),
    ("ce_requesthash", {"description": "keyed hash of the request, if it came by one"}, "5f1d"),
    (
        "ce_outcome",
        {"description": "JSON of what the command answered, where its facts do not tell it"},
        '[["3f0c4a52-6d0e-4c55-9d42-3d8b6f7c1a10", 3]]',
    ),
    (
        "ce_actor",
        {"format": "uuid", "description": "who caused it: contact, application or service"},
        "3c9d9a44-2f6e-5e0b-8f0a-2b7d1c3e4f50",
    ),
    (
        "ce_chain",
        {"pattern": HEX, "description": "SHA-256 over the aggregate's history up to it"},
        "c1" * 32,
    ),
    (
        "ce_traceparent",
        {"description": "W3C trace context, if there is one"},
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    ("content-type", {"const": "application/json"}, "application/json"),
)
OPTIONAL: Final = frozenset({"ce_causationid", "ce_outcome", "ce_requesthash", "ce_traceparent"})


def document(topics: Iterable[Topic[Any]]) -> dict[str, Any]:
    topics = tuple(topics)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": TITLE, "version": "1.0.0", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in topics},
        "operations": {f"publish.{topic.name}": _operation(topic) for topic in topics},
        "components": {
            "messages": {
                fact.fact_type: _message(fact, topic) for topic in topics for fact in topic.facts
            },
            "schemas": {"headers": _headers()},
        },
    }


def _channel(topic: Topic[Any]) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": f"Written by {topic.owner} alone.",
        "messages": {
            fact.fact_type: {"$ref": f"#/components/messages/{fact.fact_type}"}
            for fact in topic.facts
        },
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": -1},
            }
        },
    }


def _operation(topic: Topic[Any]) -> dict[str, Any]:
    return {"action": "send", "channel": {"$ref": f"#/channels/{topic.name}"}}


def _message(fact: type[Fact], topic: Topic[Any]) -> dict[str, Any]:
    return {
        "name": fact.fact_type,
        "title": fact.__name__,
        "description": told(fact),
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {"$ref": f"schemas/{fact.fact_type}.json"},
        "bindings": {"kafka": {"key": {"type": "string", "format": "uuid"}}},
        "examples": [
            {
                "headers": header_examples(fact, topic),
                "payload": EXAMPLES[fact.fact_type].model_dump(mode="json"),
            }
        ],
    }


def _headers() -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name for name, _, _ in HEADERS if name not in OPTIONAL],
        "properties": {name: {"type": "string"} | schema for name, schema, _ in HEADERS},
    }


def header_examples(fact: type[Fact], topic: Topic[Any]) -> dict[str, str]:
    """The headers of a record with this fact, as its service would send it."""
    own = {
        "ce_type": fact.fact_type,
        "ce_source": f"urn:prm:{topic.owner}",
        "ce_dataschema": schema_id(fact),
    }
    return {name: example for name, _, example in HEADERS} | own


def schema_id(fact: type[Fact]) -> str:
    return f"urn:prm:schema:{fact.fact_type}"


def told(fact: type[Fact]) -> str:
    """The fact's own docstring, or its name as words."""
    words = "".join(f" {each.lower()}" if each.isupper() else each for each in fact.__name__)
    return cleandoc(fact.__dict__.get("__doc__") or f"{words.strip().capitalize()}.")


def as_yaml(value: Any, indent: int = 0) -> str:
    """Block style; texts, and keys that are no plain words, in JSON's quotes: YAML reads both."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        keys = {key: key if PLAIN.fullmatch(key) else json.dumps(key) for key in value}
        return "".join(f"{pad}{keys[key]}:{_nested(each, indent)}" for key, each in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{pad}-{_nested(each, indent)}" for each in value)
    return f"{pad}{json.dumps(value, ensure_ascii=False)}\n"


def _nested(value: Any, indent: int) -> str:
    if isinstance(value, (dict, list)) and value:
        return "\n" + as_yaml(value, indent + 1)
    return " " + as_yaml(value)
