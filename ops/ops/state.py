"""What a platform remembers between commands: addresses and secrets, in its home, for its owner."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ops.failures import OpsError


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class Secrets:
    """Made once: what is stored cannot be opened without them. Keys are base64 of 32 bytes."""

    master_key: str = field(default_factory=_key)  # wraps the keys of personal data
    token_key: str = field(default_factory=_key)  # seals position tokens and cursors
    roles_key: str = field(default_factory=_key)  # passwords of database roles follow from it
    operator_secret: str = field(default_factory=_key)  # of the operator at partner-svc


@dataclass(frozen=True)
class Addresses:
    """Where a service's own data are: DSNs of its limited roles. `up` tells them anew each time."""

    database_dsn: str
    keys_dsn: str
    questions_dsn: str = ""


@dataclass
class State:
    secrets: Secrets = field(default_factory=Secrets)
    story: bool = True
    kafka: str | None = None
    postgres: str | None = None
    mail: str | None = None  # of the mail server here; None: the environment names another one
    urls: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, Addresses] = field(default_factory=dict)

    @staticmethod
    def read(home: Path) -> "State | None":
        """What the home holds; None if there was no platform yet."""
        try:
            raw = json.loads(_file(home).read_text())
            raw["secrets"] = Secrets(**raw["secrets"])
            raw["addresses"] = {name: Addresses(**it) for name, it in raw["addresses"].items()}
            return State(**raw)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise OpsError(
                f"{_file(home)} cannot be read ({error}). `prm clean` begins anew."
            ) from error

    def write(self, home: Path) -> None:
        """Readable for the owner only; a crash leaves the old one or the new one."""
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = _file(home).with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as out:
            json.dump(asdict(self), out, indent=2)
        draft.replace(_file(home))


def _file(home: Path) -> Path:
    return home / "state.json"
