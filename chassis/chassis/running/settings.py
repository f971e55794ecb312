"""What the environment says to a service; the only reader of it in the chassis."""

import base64
import os
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretBytes, SecretStr

Role = Literal["all", "api", "worker"]


def _decoded_key(text: object) -> bytes:
    key = base64.b64decode(str(text), validate=True)
    if len(key) != 32:  # noqa: PLR2004 - AES-256
        raise ValueError("it takes 32 bytes in base64")
    return key


Key = Annotated[SecretBytes, BeforeValidator(_decoded_key)]


class Settings(BaseModel):
    """Each field is the variable PRM_<FIELD>. `role`: what this process does of the service.

    `questions_dsn`: of the database again, as the role that row-level security holds back.
    `instance`: stable name of this process among its like, for its membership in Kafka's group.
    `handover`: path of a socket, in a folder that nobody else may enter, where a successor asks for
    this process' place; empty: none may.
    `story`: the clock may be set; a deployment leaves it off. `otlp_endpoint`: base address of a
    collector of traces; `trace_ratio`: the share of the traces begun here that goes there.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    host: str = "127.0.0.1"
    service_port: int = Field(ge=0, le=65_535)
    kafka_bootstrap: str
    database_dsn: SecretStr
    questions_dsn: SecretStr
    keys_dsn: SecretStr
    master_key: Key
    token_key: Key
    issuer_url: str
    role: Role = "all"
    instance: str = "1"
    handover: str = ""
    story: bool = False
    otlp_endpoint: str | None = None
    trace_ratio: float = Field(default=1.0, ge=0, le=1)

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Raises pydantic's ValidationError, which names every variable that is missing or bad."""
        return cls.model_validate(
            {
                name: environ[f"PRM_{name.upper()}"]
                for name in cls.model_fields
                if environ.get(f"PRM_{name.upper()}")
            }
        )
