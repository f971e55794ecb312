"""What becomes of a notification's e-mail, at a real mail server."""

from collections.abc import AsyncIterator
from datetime import timedelta
from email.headerregistry import Address
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from chassis.delivery import Errand, Outside, TryLater
from chassis.running.admin import KEY_TABLES
from chassis.storage.postgres import PooledReads
from chassis.vault import Vault
from chassis.web.positions import LinkUnreadable, Tokens
from notify_svc import projections
from notify_svc.outbound.mailing import GIVE_UP_AFTER, Mailing
from notify_svc.outbound.messages import Sender
from notify_svc.outbound.smtp import MailServer, Server
from ops.mail.box import KeptMail
from ops.mail.process import LocalMail
from ops.ports import any_free
from prm_contracts.notifications import (
    MailFact,
    NotificationFailed,
    NotificationSent,
    NotificationSuppressed,
)
from prm_contracts.partners import (
    ContactActivated,
    ContactDeactivated,
    NotificationPreferencesSet,
    PartnerRegistered,
    Unsubscription,
)

from .cast import ALPHA, MANAGER, invited, recorded
from .conftest import Inbox
from .test_projections import queued

SENDER = Sender(
    Address("Meridian Partner", "partners", "meridian.example"),
    unsubscribe_url="https://portal.example/v1/unsubscribe",
)
LINKS = Tokens(bytes(32), ())
DOMAIN = SENDER.address.domain


class World:
    """A contact with an address of its own, who is told that a deal waits in line."""

    def __init__(self, inbox: Inbox, outside: Outside, server: LocalMail) -> None:
        self.inbox, self.outside, self.box = inbox, outside, server.box
        self.person, self.notification = uuid4(), uuid4()
        self.address = ""
        self.at = Server("127.0.0.1", server.port, "none", DOMAIN)
        self.server = MailServer(self.at, SENDER.address.addr_spec)

    async def knows(self, domain: str = "alpha.example", language: str = "de") -> None:
        self.address = f"{self.person}@{domain}"
        invitation = invited("partner", ALPHA, "partner-seller").model_copy(
            update={
                "name": await self.outside.vault.seal(self.person, "Anna Groß"),
                "email": await self.outside.vault.seal(self.person, self.address),
                "language": language,
            }
        )
        self.inbox.show(
            projections.contacts(recorded(invitation, self.person)),
            projections.contacts(recorded(ContactActivated(), self.person, 2)),
        )
        self.hears()

    def hears(self) -> None:
        told = recorded(queued(self.person), self.notification)
        self.inbox.show(projections.notification_inbox(told))

    async def mails(
        self, server: MailServer | None = None, waited: timedelta = timedelta(), attempt: int = 1
    ) -> MailFact:
        errand = Errand(self.notification, 1, attempt, waited)
        return await Mailing(SENDER, server or self.server, LINKS).mail(self.outside, errand)

    def kept(self) -> list[KeptMail]:
        return list(self.box.mails(to=self.address or "nobody"))


@pytest.fixture
async def world(inbox: Inbox, fresh_database: str, mail_server: LocalMail) -> AsyncIterator[World]:
    with psycopg.connect(fresh_database) as owner:
        owner.execute(sql.SQL(KEY_TABLES).format(erasers=sql.Literal("pg_monitor")))
    database = PooledReads(fresh_database, 1)
    await database.open()
    async with AsyncConnectionPool(
        fresh_database, kwargs={"autocommit": True}, open=False
    ) as people:
        world = World(inbox, Outside(database, Vault(people, bytes(32))), mail_server)
        yield world
        world.server.close()
    await database.close()


async def test_a_mail_is_sent_to_the_person_in_their_language(world: World) -> None:
    await world.knows()

    outcome = await world.mails()

    [mail] = world.kept()
    message_id = f"<{world.notification}@{DOMAIN}>"
    assert outcome == NotificationSent(message_id=message_id, language="de")
    assert (mail.header("Message-ID"), mail.header("To")) == (
        message_id,
        f"Anna Groß <{world.address}>",
    )
    assert mail.part("plain").startswith("Guten Tag Anna Groß,\n\nIhr Projekt mit Hoffmann")


async def test_a_repeat_is_the_same_mail(world: World) -> None:
    await world.knows()

    outcomes = [await world.mails(), await world.mails()]

    first, again = world.kept()
    assert outcomes[0] == outcomes[1]
    assert first.file.read_bytes() == again.file.read_bytes()


async def test_its_link_asks_for_no_more_of_its_group_and_tells_nobody_whose_it_is(
    world: World,
) -> None:
    await world.knows()

    await world.mails()

    header = world.kept()[0].header("List-Unsubscribe")
    url, _, link = header.strip("<>").partition("?link=")
    asked = Unsubscription.model_validate_json(LINKS.linked(Unsubscription.purpose, link))
    assert url == SENDER.unsubscribe_url
    assert asked == Unsubscription(contact_id=world.person, group="deals", language="de")
    assert str(world.person) not in link
    with pytest.raises(LinkUnreadable):
        LINKS.linked("something else", link)
    with pytest.raises(LinkUnreadable):
        Tokens(bytes([1]) * 32, ()).linked(Unsubscription.purpose, link)


async def test_what_one_cannot_do_without_has_no_link(world: World) -> None:
    await world.knows()
    welcome = queued(world.person).model_copy(update={"template": "welcome"})
    told = projections.notification_inbox(recorded(welcome, world.notification))
    world.inbox.show("DELETE FROM notification_inbox", told)

    await world.mails()

    assert world.kept()[0].message["List-Unsubscribe"] is None


async def test_times_are_those_at_the_partners(world: World) -> None:
    await world.knows()
    there = PartnerRegistered(
        legal_name="Alpha",
        country="US",
        types=("reseller",),
        currency="USD",
        time_zone="America/New_York",
        registered_by=MANAGER,
    )
    world.inbox.show("DELETE FROM partners", projections.partners(recorded(there, ALPHA)))

    await world.mails()

    assert "1. März 2027, 04:00 (America/New_York)" in world.kept()[0].part("plain")


async def test_who_muted_such_mails_gets_none(world: World) -> None:
    await world.knows()
    muted = NotificationPreferencesSet(language="de", muted=("deals",))
    world.inbox.show(projections.contacts(recorded(muted, world.person, 3)))

    outcome = await world.mails()

    assert outcome == NotificationSuppressed(reason_code="muted")
    assert world.kept() == []


async def test_who_chose_another_language_is_written_to_in_it(world: World) -> None:
    await world.knows()
    french = NotificationPreferencesSet(language="fr-CA", muted=("tasks",))
    world.inbox.show(projections.contacts(recorded(french, world.person, 3)))

    outcome = await world.mails()

    assert isinstance(outcome, NotificationSent)
    assert outcome.language == world.kept()[0].header("Content-Language") == "fr"


async def test_who_is_gone_gets_none(world: World) -> None:
    await world.knows()
    gone = ContactDeactivated(reason_code="left", deactivated_by=MANAGER)
    world.inbox.show(projections.contacts(recorded(gone, world.person, 3)))

    assert await world.mails() == NotificationSuppressed(reason_code="inactive")
    assert world.kept() == []


async def test_who_was_erased_gets_none(world: World) -> None:
    await world.knows()
    await world.outside.vault.erase(world.person)

    assert await world.mails() == NotificationSuppressed(reason_code="erased")
    assert world.kept() == []


async def test_whose_address_was_never_told_gets_none(world: World) -> None:
    await world.knows()
    world.inbox.show(f"UPDATE contacts SET email = NULL WHERE contact_id = '{world.person}'")

    assert await world.mails() == NotificationSuppressed(reason_code="no-address")


async def test_a_recipient_who_is_not_known_yet_is_waited_for(world: World) -> None:
    world.hears()

    with pytest.raises(TryLater) as later:
        await world.mails()

    assert not later.value.concerns_all


async def test_a_mail_that_is_refused_for_ever_is_not_tried_again(world: World) -> None:
    await world.knows("refused.example")

    outcome = await world.mails(attempt=2)

    assert outcome == NotificationFailed(reason_code="refused", smtp_status=550, attempts=2)


async def test_a_mail_that_is_refused_for_now_goes_through_later(world: World) -> None:
    await world.knows("busy.example")

    with pytest.raises(TryLater) as later:
        await world.mails()
    outcome = await world.mails(attempt=2)

    assert (later.value.reason, later.value.concerns_all) == ("the mail server answered 451", False)
    assert isinstance(outcome, NotificationSent)


async def test_after_three_days_a_mail_is_given_up(world: World) -> None:
    await world.knows("busy.example")

    outcome = await world.mails(waited=GIVE_UP_AFTER, attempt=50)

    assert outcome == NotificationFailed(reason_code="given-up", attempts=50)


@pytest.mark.parametrize("is_named", [True, False])
async def test_without_a_mail_server_all_wait(world: World, is_named: bool) -> None:
    await world.knows()
    nobody = Server("127.0.0.1", any_free(), "none", DOMAIN) if is_named else None

    with pytest.raises(TryLater) as later:
        await world.mails(MailServer(nobody, "partners@meridian.example"))

    assert later.value.concerns_all
    assert world.address not in later.value.reason


async def test_a_server_without_encryption_is_not_spoken_to_where_it_is_wanted(
    world: World,
) -> None:
    await world.knows()
    careful = Server("127.0.0.1", world.at.port, "starttls", DOMAIN)

    with pytest.raises(TryLater) as later:
        await world.mails(MailServer(careful, "partners@meridian.example"))

    assert later.value.concerns_all
    assert world.kept() == []


async def test_a_connection_that_the_server_has_ended_is_made_anew(
    world: World, mail_server: LocalMail
) -> None:
    await world.knows()
    await world.mails()

    mail_server.stop()
    mail_server.start()
    outcome = await world.mails()

    assert isinstance(outcome, NotificationSent)
    assert len(world.kept()) == 2


async def test_an_address_that_cannot_be_one_fails_at_once(world: World) -> None:
    await world.knows("alpha..example")

    assert await world.mails() == NotificationFailed(reason_code="bad-address", attempts=1)


async def test_an_international_address_is_mailed(world: World) -> None:
    world.person = UUID(int=uuid4().int)
    await world.knows("bücher.example")

    outcome = await world.mails()

    assert isinstance(outcome, NotificationSent)
    assert list(world.box.mails(to=f"{world.person}@xn--bcher-kva.example"))
