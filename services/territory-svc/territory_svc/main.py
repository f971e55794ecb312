"""The composition root: the one module that knows every other."""

from chassis.running.runtime import run
from chassis.running.service import Service
from prm_contracts.catalogue import topics_of
from territory_svc.api import alignments, conflict_checks, territories
from territory_svc.worker import DEADLINES, KEPT_WITH_APPEND, POLICIES, PROJECTIONS

SERVICE = Service(
    name="territory-svc",
    package="territory_svc",
    description="Who works which part of the market, and which subject lies in whose part.",
    routers=(alignments, territories, conflict_checks),
    topics=topics_of("territory-svc"),
    policies=POLICIES,
    projections=PROJECTIONS,
    kept_with_append=KEPT_WITH_APPEND,
    deadlines=DEADLINES,
)

if __name__ == "__main__":
    run(SERVICE)
