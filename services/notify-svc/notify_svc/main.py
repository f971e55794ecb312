"""The composition root: the one module that knows every other."""

from functools import cache

from chassis.delivery import Errand, Outside
from chassis.running.runtime import run
from chassis.running.service import Service
from chassis.web.positions import Tokens
from notify_svc import api
from notify_svc.outbound.mailing import Mailing
from notify_svc.outbound.messages import Sender
from notify_svc.outbound.smtp import MailServer, Server
from notify_svc.settings import Settings
from notify_svc.worker import DEADLINES, POLICIES, PROJECTIONS, outgoing
from prm_contracts.catalogue import topics_of
from prm_contracts.notifications import MailFact


@cache
def mailing() -> Mailing:
    """Read when it is first asked for: who only looks at the tables needs no environment."""
    return mailing_by(Settings.read())


def mailing_by(settings: Settings) -> Mailing:
    sender = Sender(
        address=settings.sender,
        reply_to=settings.smtp_reply_to,
        preferences_url=settings.preferences_url,
        unsubscribe_url=settings.unsubscribe_url,
        language=settings.mail_language,
    )
    server = MailServer(server_of(settings), settings.sender.addr_spec)
    return Mailing(sender, server, Tokens(settings.token_key.get_secret_value(), ()))


def server_of(settings: Settings) -> Server | None:
    """None: the environment names none, and mails wait."""
    if settings.smtp_host is None:
        return None
    return Server(
        host=settings.smtp_host,
        port=settings.smtp_port,
        encryption=settings.smtp_tls,
        name=settings.sender.domain,
        ca_file=settings.smtp_ca_file,
        user=settings.smtp_user,
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
    )


async def mail(outside: Outside, errand: Errand) -> MailFact:
    return await mailing().mail(outside, errand)


SERVICE = Service(
    name="notify-svc",
    package="notify_svc",
    description="Tells people what happened, each fact once.",
    routers=(api.router, api.failed),
    topics=topics_of("notify-svc"),
    policies=POLICIES,
    projections=PROJECTIONS,
    deadlines=DEADLINES,
    outbound=outgoing(mail),
)

if __name__ == "__main__":
    run(SERVICE, Settings)
