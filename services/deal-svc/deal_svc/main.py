"""The composition root: the one module that knows every other."""

from chassis.running.runtime import run
from chassis.running.service import Service
from deal_svc.api import routers
from deal_svc.worker import DEADLINES, KEPT_WITH_APPEND, POLICIES, PROJECTIONS
from prm_contracts.catalogue import topics_of

SERVICE = Service(
    name="deal-svc",
    package="deal_svc",
    description="Owns deals, customers and exclusivities.",
    routers=routers,
    topics=topics_of("deal-svc"),
    policies=POLICIES,
    projections=PROJECTIONS,
    kept_with_append=KEPT_WITH_APPEND,
    deadlines=DEADLINES,
)

if __name__ == "__main__":
    run(SERVICE)
