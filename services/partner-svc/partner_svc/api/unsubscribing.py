"""The link in an e-mail by which its reader gets no more of that kind (RFC 8058)."""

from email.parser import BytesParser
from email.policy import HTTP
from typing import Annotated, Any
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from chassis.context import Actor, Context
from chassis.errors import Invalid
from chassis.telemetry import tracing
from chassis.web.http import HasPorts, Ports
from chassis.web.positions import LinkUnreadable
from chassis.web.problems import MediaTypeUnsupported, correlation
from chassis.web.routes import Router
from partner_svc import application
from prm_contracts.partners import Unsubscription

unsubscribing = Router(prefix="/v1/unsubscribe", tags=["contacts"])

Link = Annotated[
    str, Query(pattern=r"^[A-Za-z0-9_-]{20,400}$", description="As it stands in the e-mail.")
]
CONFIRMED = ("List-Unsubscribe", "One-Click")
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
SHAPE = {
    "type": "object",
    "required": [CONFIRMED[0]],
    "properties": {CONFIRMED[0]: {"const": CONFIRMED[1]}},
}
AWAY = {"responses": {"503": {"$ref": "#/components/responses/Problem503"}}}
CROWDED = AWAY["responses"] | {"429": {"$ref": "#/components/responses/Problem429"}}
TAKES: dict[str, Any] = {
    "requestBody": {"required": True, "content": {form: {"schema": SHAPE} for form in FORMS}},
    "responses": CROWDED,
}
PAGE = """<!DOCTYPE html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="robots" content="noindex">
<meta name="referrer" content="no-referrer"><title>{title}</title></head>
<body style="font-family: sans-serif; color: #222; max-width: 40em; margin: 3em auto">
<h1>{title}</h1><p>{text}</p></body></html>
"""
BUTTON = (
    '<form method="post"><button name="List-Unsubscribe" value="One-Click">{text}</button></form>'
)
# By language: the title, what the button says, and what is said once it was pressed.
WORDS = {
    "en": ("E-mails", "No more e-mails of this kind", "You get no more e-mails of this kind."),
    "de": (
        "E-Mails",
        "Keine E-Mails dieser Art mehr",
        "Sie erhalten keine E-Mails dieser Art mehr.",
    ),
    "fr": (
        "Courriels",
        "Ne plus recevoir de courriels de ce type",
        "Vous ne recevrez plus de courriels de ce type.",
    ),
    "es": (
        "Correos",
        "No recibir más correos de este tipo",
        "Ya no recibirá correos de este tipo.",
    ),
}


class NotConfirmed(Invalid):
    """What the link asks for is confirmed by one field of a form: List-Unsubscribe=One-Click."""


@unsubscribing.get("", response_class=HTMLResponse, openapi_extra=AWAY)
async def ask_to_unsubscribe(ports: HasPorts, link: Link) -> HTMLResponse:
    """Changes nothing, for programs open links too: it shows a button."""
    title, button, _ = words_of(wanted(ports, link))
    return page(wanted(ports, link), title, BUTTON.format(text=button))


@unsubscribing.post("", response_class=HTMLResponse, openapi_extra=TAKES)
async def unsubscribe(request: Request, ports: HasPorts, link: Link) -> HTMLResponse:
    """Mutes this group of e-mails for the person to whom the link was sent; again, as you like."""
    asked = wanted(ports, link)
    if not is_confirmed(request.headers.get("content-type", ""), await request.body()):
        raise NotConfirmed
    ctx = Context(
        actor=Actor(asked.contact_id),
        now=ports.clock.now(),
        command_id=uuid4(),  # not of the link: who chose otherwise meanwhile may follow it again
        correlation_id=UUID(correlation.get()),
        traceparent=tracing.traceparent(),
    )
    with ports.crowd.place(asked.contact_id):
        await ports.events.execute(application.mute_mails, ctx, asked.contact_id, asked.group)
    title, _, done = words_of(asked)
    return page(asked, title, done)


def wanted(ports: Ports, link: str) -> Unsubscription:
    """Raises LinkUnreadable."""
    try:
        return Unsubscription.model_validate_json(ports.tokens.linked(Unsubscription.purpose, link))
    except ValueError:
        raise LinkUnreadable from None


def words_of(asked: Unsubscription) -> tuple[str, str, str]:
    return WORDS.get(asked.language, WORDS["en"])


def page(asked: Unsubscription, title: str, text: str) -> HTMLResponse:
    body = PAGE.format(language=asked.language, title=title, text=text)
    return HTMLResponse(body, headers={"Cache-Control": "no-store"})


def is_confirmed(content_type: str, body: bytes) -> bool:
    """Raises MediaTypeUnsupported."""
    match content_type.partition(";")[0].strip().lower():
        case "application/x-www-form-urlencoded":
            return parse_qsl(body.decode(errors="replace")) == [CONFIRMED]
        case "multipart/form-data":
            head = b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n"
            form = BytesParser(policy=HTTP).parsebytes(head + body)
            return [field_of(part) for part in form.iter_parts()] == [CONFIRMED]
        case _:
            raise MediaTypeUnsupported


def field_of(part: Any) -> tuple[str, str]:
    name = part.get_param("name", "", header="content-disposition")
    return str(name), str(part.get_payload()).strip()
