"""OAuth over HTTP: tokens by client credentials (RFC 6749), keys, and what is true of both."""

import base64
import binascii
import hmac
import logging
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, unquote_plus
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from chassis.errors import Conflict, Forbidden, Invalid, NotFound
from chassis.web.http import Ctx, HasPorts, Ports, allowed
from chassis.web.routes import Router
from partner_svc.issuer import applications, story
from partner_svc.issuer.applications import RegisterApplication, RegisteredApplication
from partner_svc.issuer.signing import ALGORITHM, LIFETIME, Signing, Subject
from partner_svc.issuer.terms import AskedTerms
from prm_contracts.values import Role

logger = logging.getLogger(__name__)

FORM = "application/x-www-form-urlencoded"
NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
TOKEN_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"const": "client_credentials"},
                        "client_id": {"type": "string"},
                        "client_secret": {"type": "string"},
                        "role": {"enum": list(get_args(Role))},
                        "partner_id": {"type": "string", "format": "uuid"},
                        "person": {"type": "string"},
                    },
                }
            }
        },
    }
}


class Granted(BaseModel):
    """`expires_in`: seconds."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


class NotGranted(BaseModel):
    """As RFC 6749, section 5.2, has it."""

    error: str
    error_description: str


@dataclass(eq=False)
class TokenRefused(Exception):
    """An error of RFC 6749, section 5.2."""

    error: str
    description: str
    status: int = 400

    def answer(self) -> JSONResponse:
        body = {"error": self.error, "error_description": self.description}
        known = {"WWW-Authenticate": 'Basic realm="prm"'} if self.status == 401 else {}  # noqa: PLR2004
        return JSONResponse(body, self.status, NOT_STORED | known)


def routes(terms: AskedTerms, signing: Signing) -> Router:
    """The issuer's endpoints; what it signs with is shared with those who verify here."""
    router = Router(tags=["log-on"])

    @router.post(
        "/oauth/token",
        openapi_extra=TOKEN_FORM,
        response_model=Granted,
        responses={400: {"model": NotGranted}, 401: {"model": NotGranted}},
    )
    async def token(request: Request, ports: HasPorts) -> Response:
        """For applications by their own secret. The client `operator`, which only a story has,
        names the `role` and, where he wants, the `partner_id` and the `person`.
        """
        try:
            subject = await _subject(request, ports, terms().operator_secret)
        except TokenRefused as refused:
            return refused.answer()
        answer = {
            "access_token": await signing.token(ports, subject),
            "token_type": "Bearer",
            "expires_in": int(LIFETIME.total_seconds()),
            "scope": " ".join(subject.roles),
        }
        return JSONResponse(answer, headers=NOT_STORED)

    @router.get("/.well-known/jwks.json")
    async def jwks(ports: HasPorts) -> dict[str, Any]:
        return await signing.published(ports)

    @router.get("/.well-known/openid-configuration")
    async def openid_configuration() -> dict[str, Any]:
        """What is true of this issuer today."""
        url = terms().url
        return {
            "issuer": url,
            "jwks_uri": f"{url}/.well-known/jwks.json",
            "token_endpoint": f"{url}/oauth/token",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "scopes_supported": list(get_args(Role)),
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        }

    @router.post("/v1/applications", status_code=201, dependencies=[allowed("platform-operator")])
    async def register_application(
        body: RegisterApplication, ctx: Ctx, ports: HasPorts
    ) -> RegisteredApplication:
        """The secret is in this answer only."""
        return await applications.register(ports, ctx, body.name)

    return router


async def _subject(request: Request, ports: Ports, operator_secret: str | None) -> Subject:
    form = await _form(request)
    if form.get("grant_type") != "client_credentials":
        raise TokenRefused("unsupported_grant_type", "only client_credentials is supported")
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    if client_id != story.CLIENT_ID:
        if subject := await applications.recognised(ports, client_id, secret):
            return subject
    elif operator_secret and hmac.compare_digest(operator_secret.encode(), secret.encode()):
        return await _named_person(ports, form)
    logger.warning("a client was not recognised")
    raise TokenRefused("invalid_client", "unknown client or wrong secret", 401)


async def _named_person(ports: Ports, form: dict[str, str]) -> Subject:
    role = next((role for role in get_args(Role) if role == form.get("role")), None)
    if role is None:
        known = ", ".join(get_args(Role))
        raise TokenRefused("invalid_request", f"role must be one of {known}")
    try:
        partner_id = UUID(form["partner_id"]) if form.get("partner_id") else None
    except ValueError:
        raise TokenRefused("invalid_request", "partner_id must be a UUID") from None
    asked = story.Asked(role, partner_id, form.get("person") or None)
    if (asked.side == "partner") != (partner_id is not None):
        needs = "needs a partner_id" if asked.side == "partner" else "has no partner_id"
        raise TokenRefused("invalid_request", f"the role {role} {needs}")
    try:
        return await story.person(ports, asked)
    except (Conflict, Forbidden, Invalid, NotFound) as refused:
        name, rule = type(refused).__name__, (type(refused).__doc__ or "").strip()
        raise TokenRefused("invalid_grant", f"{name}: {rule}") from None


async def _form(request: Request) -> dict[str, str]:
    """The form's fields, each once, with the client's credentials of a Basic header."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise TokenRefused("invalid_request", f"the body must be {FORM}")
    try:
        fields = parse_qsl((await request.body()).decode(), strict_parsing=True, max_num_fields=20)
    except ValueError:
        raise TokenRefused("invalid_request", "the body is no form") from None
    form = dict(fields)
    if "\0" in "".join(form.values()):
        raise TokenRefused("invalid_request", "a field has a NUL character")
    if len(form) != len(fields):
        raise TokenRefused("invalid_request", "a field is given twice")
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        if "client_secret" in form:
            raise TokenRefused("invalid_request", "the client's secret is given twice")
        form |= _basic(credentials)
    return form


def _basic(credentials: str) -> dict[str, str]:
    try:
        client_id, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise TokenRefused("invalid_client", "the Authorization header is not Basic", 401) from None
    return {"client_id": unquote_plus(client_id), "client_secret": unquote_plus(secret)}
