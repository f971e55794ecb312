"""What the environment says to the operator's commands; the only reader of it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from ops.failures import OpsError

CHECKOUT = Path(__file__).resolve().parents[2]
MAX_OFFSET = 50_000
Kind = Literal["docker", "process"]
Backend = Literal["auto", "env", "docker", "process"]
# The projects' own images, of the versions that also run as processes.
KAFKA_IMAGE, POSTGRES_IMAGE = "apache/kafka:4.3.1", "postgres:18"


@dataclass(frozen=True)
class Settings:
    home: Path
    backend: Backend | None = None  # as auto, but nothing is pulled
    kafka_bootstrap: str | None = None
    postgres_dsn: str | None = None  # of a role that may create databases and roles
    port_offset: int = 0
    kafka_image: str = KAFKA_IMAGE  # by tag or digest
    postgres_image: str = POSTGRES_IMAGE
    smtp_host: str | None = None  # services read the other PRM_SMTP_ variables themselves

    @staticmethod
    def read(environ: Mapping[str, str] = os.environ) -> "Settings":
        backend, offset = environ.get("PRM_BACKEND") or None, environ.get("PRM_PORT_OFFSET", "0")
        if backend and backend not in get_args(Backend):
            raise OpsError(f"PRM_BACKEND is {backend}: it may be {', '.join(get_args(Backend))}.")
        if not offset.isdecimal() or int(offset) > MAX_OFFSET:
            raise OpsError(f"PRM_PORT_OFFSET is {offset}: it is a number from 0 to {MAX_OFFSET}.")
        return Settings(
            home=Path(environ.get("PRM_HOME") or CHECKOUT / ".prm").absolute(),
            backend=cast(Backend | None, backend),
            kafka_bootstrap=environ.get("PRM_KAFKA_BOOTSTRAP") or None,
            postgres_dsn=environ.get("PRM_POSTGRES_DSN") or None,
            port_offset=int(offset),
            kafka_image=environ.get("PRM_KAFKA_IMAGE") or KAFKA_IMAGE,
            postgres_image=environ.get("PRM_POSTGRES_IMAGE") or POSTGRES_IMAGE,
            smtp_host=environ.get("PRM_SMTP_HOST") or None,
        )


def cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Where downloads are kept between platforms: they outlive `prm clean`."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prm"
