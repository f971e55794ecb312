"""The composition root: the one module that knows every other."""

from functools import cache

from chassis.delivery import Errand, Outside
from chassis.running.runtime import run
from chassis.running.service import Service
from notify_svc.api import router
from notify_svc.outbound.mailing import Mailing
from notify_svc.outbound.smtp import MailServer
from notify_svc.settings import Settings
from notify_svc.worker import DEADLINES, POLICIES, PROJECTIONS, outgoing
from prm_contracts.catalogue import topics_of
from prm_contracts.notifications import MailFact


@cache
def mailing() -> Mailing:
    """Read when it is first asked for: who only looks at the tables needs no environment."""
    settings = Settings.read()
    server = MailServer(settings.server, settings.sender.address.addr_spec)
    return Mailing(settings.sender, server)


async def mail(outside: Outside, errand: Errand) -> MailFact:
    return await mailing().mail(outside, errand)


SERVICE = Service(
    name="notify-svc",
    package="notify_svc",
    description="Tells people what happened, each fact once.",
    routers=(router,),
    topics=topics_of("notify-svc"),
    policies=POLICIES,
    projections=PROJECTIONS,
    deadlines=DEADLINES,
    outbound=outgoing(mail),
)

if __name__ == "__main__":
    run(SERVICE, Settings)
