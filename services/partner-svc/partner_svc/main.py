"""The composition root: the one module that knows every other."""

from functools import cache

from chassis.running.runtime import run
from chassis.running.service import Service
from partner_svc import api
from partner_svc.issuer.endpoints import routes
from partner_svc.issuer.signing import Signing
from partner_svc.issuer.terms import Terms
from partner_svc.settings import Settings
from partner_svc.worker import DEADLINES, POLICIES, PROJECTIONS
from prm_contracts.catalogue import topics_of


@cache
def terms() -> Terms:
    """Read when it is first asked for: who only looks at the tables needs no environment."""
    settings = Settings.read()
    secret = settings.operator_secret if settings.story else None
    return Terms(settings.issuer_url, secret.get_secret_value() if secret else None)


SIGNING = Signing(terms)
SERVICE = Service(
    name="partner-svc",
    package="partner_svc",
    description="Owns partners and contacts, and logs people and applications on.",
    routers=(*api.routers, routes(terms, SIGNING)),
    topics=topics_of("partner-svc"),
    policies=POLICIES,
    projections=PROJECTIONS,
    deadlines=DEADLINES,
    own_keys=SIGNING.published,
)

if __name__ == "__main__":
    run(SERVICE, Settings)
