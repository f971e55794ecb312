"""The composition root: the one module that knows every other."""

from chassis.running.runtime import run
from chassis.running.service import Service
from notify_svc.api import router
from notify_svc.worker import DEADLINES, POLICIES, PROJECTIONS
from prm_contracts.catalogue import topics_of

SERVICE = Service(
    name="notify-svc",
    package="notify_svc",
    description="Tells people what happened, each fact once.",
    routers=(router,),
    topics=topics_of("notify-svc"),
    policies=POLICIES,
    projections=PROJECTIONS,
    deadlines=DEADLINES,
)

if __name__ == "__main__":
    run(SERVICE)
