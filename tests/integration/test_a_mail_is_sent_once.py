"""Whoever is told something gets it as an e-mail, once in effect, in their own language."""

from dataclasses import dataclass
from uuid import uuid4

import pytest
from click.testing import CliRunner

from ops.doctor import services as doctor
from ops.mail.box import KeptMail
from ops.main import cli

from .story import Partner, Person, Story, eventually


@dataclass(frozen=True)
class Reader:
    """A person of a partner with an address of their own."""

    story: Story
    person: Person
    address: str

    def mails(self) -> list[KeptMail]:
        """Newest first."""
        return list(self.story.platform.mail.box.mails(to=self.address))

    def subjects(self) -> list[str]:
        return [mail.header("Subject") for mail in self.mails()]

    def gets(self, subject: str) -> KeptMail:
        """The one mail whose subject begins so; waits for it."""

        def come() -> list[KeptMail]:
            return [it for it in self.mails() if it.header("Subject").startswith(subject)]

        [mail] = eventually(come, what=f"mail to {self.address}: {subject}")
        return mail

    def entry(self, template: str) -> dict[str, str]:
        [entry] = [it for it in self.person.lists("notifications") if it["template"] == template]
        return entry

    def hears(self, template: str, mail: str) -> dict[str, str]:
        """The entry of the inbox, once its e-mail is sent, failed or suppressed."""

        def stands() -> bool:
            found = [it for it in self.person.lists("notifications") if it["template"] == template]
            return [it["mail"] for it in found] == [mail]

        eventually(stands, what=f"{template} of {self.address} is {mail}")
        return self.entry(template)

    def facts(self, template: str) -> list[str]:
        subject = self.entry(template)["notification_id"]
        return [it.name for it in self.story.topics.facts("prm.notifications", subject)]


def seller(
    story: Story, partner_id: str, language: str = "en", domain: str = "alpha.example"
) -> Reader:
    """Invited by operations, and has accepted."""
    address = f"{uuid4().hex[:12]}@{domain}"
    wanted = {
        "side": "partner",
        "partner_id": partner_id,
        "name": 'Zoë <b>"Müller"</b>',
        "email": address,
        "language": language,
        "roles": ["partner-seller"],
    }
    contact = story.operations.does("contacts", wanted).id
    story.operations.does(f"contacts/{contact}/accept")
    return Reader(story, story.person("partner-seller", partner_id, contact), address)


@pytest.fixture(scope="module")
def alpha(story: Story) -> Partner:
    return story.partners(1)[0]


def registered(story: Story, reader: Reader) -> str:
    return reader.person.does("deals", story.deal(story.customer())).id


def test_in_the_recipients_language_from_registration_to_approval(
    story: Story, alpha: Partner
) -> None:
    reader = seller(story, alpha.id, language="de-AT")

    deal = registered(story, reader)

    story.becomes(deal, "approved")
    mail = reader.gets("Projekt genehmigt: ")
    entry = reader.hears("deal-approved", "sent")
    for template in ("welcome", "deal-registered"):
        reader.hears(template, "sent")
    assert mail.header("Message-ID") == f"<{entry['notification_id']}@meridian.example>"
    assert "(Europe/Berlin)" in mail.part("plain")
    begin = sorted(subject.split(":")[0] for subject in reader.subjects())
    assert begin == ["Projekt genehmigt", "Projekt registriert", "Willkommen"]


def test_what_people_call_themselves_is_escaped(story: Story, alpha: Partner) -> None:
    reader = seller(story, alpha.id)

    mail = reader.gets("Welcome")

    assert mail.message["To"].addresses[0].display_name == 'Zoë <b>"Müller"</b>'
    assert "Hello Zoë &lt;b&gt;&#34;Müller&#34;&lt;/b&gt;," in mail.part("html")


def test_once_the_mail_server_is_back(story: Story, alpha: Partner) -> None:
    reader = seller(story, alpha.id)
    reader.gets("Welcome")
    server = story.platform.mail

    server.stop()
    try:
        deal = registered(story, reader)
        story.becomes(deal, "approved")  # no fact waits for a mail
        [waits] = eventually(lambda: story.platform.client.state_of("notify-svc")["outbound"])
        findings = doctor.service(story.platform, "notify-svc").findings
        assert waits.split(":")[0] in [each.what.split(":")[0] for each in findings]
        reader.hears("deal-approved", "queued")
    finally:
        server.start()

    reader.hears("deal-approved", "sent")
    reader.hears("deal-registered", "sent")
    assert len(reader.mails()) == 3
    assert reader.facts("deal-approved") == ["NotificationQueued", "NotificationSent"]


def test_after_a_death_between_sending_and_recording_it_comes_again_as_the_same(
    story: Story, alpha: Partner
) -> None:
    reader = seller(story, alpha.id, domain="slow.example")
    first = reader.gets("Welcome")  # the server has it, and has not said so yet

    story.platform.kill_service("notify-svc")
    story.platform.start_service("notify-svc")

    reader.hears("welcome", "sent")
    assert len(reader.mails()) == 2
    assert {mail.file.read_bytes() for mail in reader.mails()} == {first.file.read_bytes()}
    assert reader.facts("welcome") == ["NotificationQueued", "NotificationSent"]


def test_when_a_busy_server_has_time(story: Story, alpha: Partner) -> None:
    reader = seller(story, alpha.id, domain="busy.example")

    reader.hears("welcome", "sent")

    assert reader.subjects() == ["Welcome: your account is active"]


def test_never_where_it_is_refused(story: Story, alpha: Partner) -> None:
    reader = seller(story, alpha.id, domain="refused.example")

    entry = reader.hears("welcome", "failed")

    assert entry["mail_reason"] == "refused"
    failed = story.fact("prm.notifications", entry["notification_id"], "NotificationFailed")
    assert failed.fact == {"reason_code": "refused", "smtp_status": 550, "attempts": 1}


def test_once_more_where_operations_want_it(story: Story, alpha: Partner) -> None:
    reader = seller(story, alpha.id, domain="refused.example")
    entry = reader.hears("welcome", "failed")
    prm = CliRunner(env={"PRM_HOME": str(story.platform.home)})

    listed = prm.invoke(cli, ["mail", "failed"]).output
    retried = prm.invoke(cli, ["mail", "retry", entry["notification_id"]])

    assert entry["notification_id"] in listed
    assert retried.output == "1 e-mails are tried again.\n"
    told = ["NotificationQueued", "NotificationFailed", "NotificationMailRetried"]
    again = [*told, "NotificationFailed"]
    eventually(lambda: reader.facts("welcome") == again, what="it is tried again, and fails")


def test_not_to_who_muted_it_though_it_stands_in_the_inbox(story: Story, alpha: Partner) -> None:
    reader = seller(story, alpha.id)
    reader.gets("Welcome")
    quiet = {"language": "fr", "muted": ["deals"]}
    reader.person.does(f"contacts/{reader.person.id}/set-notification-preferences", quiet)
    story.settled()

    deal = registered(story, reader)

    story.becomes(deal, "approved")
    entry = reader.hears("deal-approved", "suppressed")
    assert entry["mail_reason"] == "muted"
    assert reader.subjects() == ["Welcome: your account is active"]


def test_not_to_who_clicked_in_the_mail_before(story: Story, alpha: Partner) -> None:
    reader = seller(story, alpha.id)
    registered(story, reader)
    mail = reader.gets("Deal registered: ")

    clicked = story.http.post(
        mail.header("List-Unsubscribe").strip("<>"),
        data=dict([mail.header("List-Unsubscribe-Post").split("=")]),
    )
    story.settled()
    told = len(reader.mails())
    deal = registered(story, reader)

    assert clicked.status_code == 200, clicked.text
    story.becomes(deal, "approved")
    story.settled()
    assert len(reader.mails()) == told


def test_nobody_chooses_for_others(story: Story, alpha: Partner) -> None:
    path = f"contacts/{alpha.seller.id}/set-notification-preferences"
    wish = {"language": "fr", "muted": ["account"]}

    by_admin = alpha.admin.tell(path, {"language": "fr", "muted": []})
    of_all = alpha.seller.tell(path, wish)

    assert (by_admin.status_code, of_all.status_code) == (403, 422)
    assert "only-for-oneself" in by_admin.json()["type"]
