"""What the environment says to the operator's commands; the only reader of it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from ops.failures import OpsError

CHECKOUT = Path(__file__).resolve().parents[2]
MAX_OFFSET = 50_000
Backend = Literal["auto", "env", "process"]


@dataclass(frozen=True)
class Settings:
    home: Path
    backend: Backend = "auto"
    kafka_bootstrap: str | None = None
    postgres_dsn: str | None = None  # of a role that may create databases and roles
    port_offset: int = 0

    @staticmethod
    def read(environ: Mapping[str, str] = os.environ) -> "Settings":
        backend, offset = environ.get("PRM_BACKEND", "auto"), environ.get("PRM_PORT_OFFSET", "0")
        if backend not in get_args(Backend):
            raise OpsError(f"PRM_BACKEND is {backend}: it may be {', '.join(get_args(Backend))}.")
        if not offset.isdecimal() or int(offset) > MAX_OFFSET:
            raise OpsError(f"PRM_PORT_OFFSET is {offset}: it is a number from 0 to {MAX_OFFSET}.")
        return Settings(
            home=Path(environ.get("PRM_HOME") or CHECKOUT / ".prm").absolute(),
            backend=cast(Backend, backend),
            kafka_bootstrap=environ.get("PRM_KAFKA_BOOTSTRAP") or None,
            postgres_dsn=environ.get("PRM_POSTGRES_DSN") or None,
            port_offset=int(offset),
        )


def cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Where downloads are kept between platforms: they outlive `prm clean`."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prm"
