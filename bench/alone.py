"""deal-svc by itself: its API without a worker, with a database and an issuer of its own.

One partner is active and one product listed, which is all that a registration asks for.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import LiteralString
from uuid import UUID

import jwt
import psycopg
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from chassis.running.admin import Deployed, owned, prepare_databases
from ops.backends.postgres import Postgres
from ops.local import Launch
from ops.registry import ISSUER, SERVICES
from ops.service_process import ServiceProcess
from ops.state import Addresses, State
from prm_contracts.catalogue import topics_of

from .footprint import Footprint

DEAL = next(service for service in SERVICES if service.name == "deal-svc")
PARTNER, SELLER, PRODUCT, BOOK = (UUID(int=number) for number in range(1, 5))
NOBODY = "127.0.0.1:9"  # where no broker is: an API asks none

KNOWN_PARTNER: LiteralString = """
INSERT INTO partners VALUES (%(partner)s, 2, 'active', 'Europe/Berlin', '2027-1')
"""
LISTED: LiteralString = """
INSERT INTO product_list (product_id, version, price_book_id, family, sort_key, document)
VALUES (%(product)s, 3, %(book)s, 'bench', 'one', '{}')
"""


class ApiOnly(ServiceProcess):
    """A service without its worker: what a command costs can be told from what follows on it."""

    def launch(self, port: int) -> Launch:
        command, inside, env = super().launch(port)
        return Launch(command, inside, {**(env or {}), "PRM_ROLE": "api"})


@dataclass(frozen=True)
class Alone:
    """`headers`: of a seller's requests; `dsn`: of the service's database, as its owner."""

    service: ApiOnly
    headers: dict[str, str]
    dsn: str
    footprint: Footprint

    @property
    def url(self) -> str:
        return f"{self.service.address}/v1/deals"


@contextmanager
def own_server(folder: Path) -> Iterator[Postgres]:
    """To be entered in the main thread, as all here: processes end with who started them."""
    server = Postgres(folder / "postgres", bound=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def alone(server: Postgres, home: Path, name: str = "bench") -> Iterator[Alone]:
    """`home`: an empty folder; `name`: of its databases, before an underscore."""
    admin_dsn = server.address
    deployed = Deployed(DEAL.name, DEAL.package, f"{name}_deals", topics_of(DEAL.name), erases=True)
    [prepared] = prepare_databases(admin_dsn, [deployed], f"{name}_keys", bytes(32)).values()
    dsn = owned(admin_dsn, deployed.database)
    with psycopg.connect(dsn) as owner:
        for row in (KNOWN_PARTNER, LISTED):
            owner.execute(row, {"partner": PARTNER, "product": PRODUCT, "book": BOOK})
    with issuer() as (url, token):
        where = Addresses(prepared.database_dsn, prepared.keys_dsn, prepared.questions_dsn)
        state = State(story=False, kafka=NOBODY, urls={ISSUER.name: url})
        state.addresses[DEAL.name] = where
        service = ApiOnly(DEAL, home, state, None, bound=True)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        footprint = Footprint({"api": home / "pid", "database": server.home / "pid"})
        try:
            service.start()
            yield Alone(service, headers, dsn, footprint)
        finally:
            service.stop()


@contextmanager
def issuer() -> Iterator[tuple[str, str]]:
    """Its URL, where its keys can be read, and a seller's token that is valid for two hours."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(ECAlgorithm.to_jwk(key.public_key()))
    keys = json.dumps({"keys": [public | {"kid": "bench", "alg": "ES256", "use": "sig"}]})

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(keys.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    claims = {"iss": url, "aud": "prm", "sub": str(SELLER), "exp": int(time.time()) + 7200}
    claims |= {"roles": ["partner-seller"], "partner_id": str(PARTNER)}
    headers = {"kid": "bench", "typ": "at+jwt"}
    try:
        yield url, jwt.encode(claims, key, algorithm="ES256", headers=headers)
    finally:
        server.shutdown()
        server.server_close()
