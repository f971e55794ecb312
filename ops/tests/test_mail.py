"""The mail server of this machine: it keeps what it takes, shows it, and starts again with it."""

import smtplib
from email.message import EmailMessage
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops import registry
from ops.mail.process import LocalMail
from ops.main import cli
from ops.platform import Platform
from ops.service_process import ServiceProcess
from ops.settings import Settings
from ops.state import Addresses, State


@pytest.fixture
def mail(tmp_path: Path) -> LocalMail:
    server = LocalMail(tmp_path / "mail", bound=True)
    server.start()
    return server


def send(server: LocalMail, to: str, subject: str = "Grüße") -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@meridian.example", to, subject
    message.set_content(f"Hello {to}.\n.\nA dot stands alone.")
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.send_message(message)


def prm(server: LocalMail, *arguments: str) -> str:
    environment = {"PRM_HOME": str(server.home.parent)}
    return CliRunner(env=environment).invoke(cli, ["mail", *arguments]).output


def test_mails_are_listed_newest_first_and_shown(mail: LocalMail) -> None:
    send(mail, "anna@alpha.example", "First")
    send(mail, "ben@borealis.example", "Second")

    listed = prm(mail, "list").splitlines()
    to_anna = prm(mail, "list", "--to", "ANNA@").splitlines()
    shown = prm(mail, "show", listed[2].split()[0])

    assert [line.split()[-1] for line in listed[1:]] == ["Second", "First"]
    assert [line.split()[1] for line in to_anna[1:]] == ["anna@alpha.example"]
    assert "Subject: First\n" in shown
    assert shown.endswith("Hello anna@alpha.example.\n.\nA dot stands alone.\n\n")
    mail.stop()


def test_what_it_took_outlives_it(mail: LocalMail) -> None:
    send(mail, "anna@alpha.example")

    port = mail.port
    mail.kill()
    mail.start()
    send(mail, "anna@alpha.example")

    assert (mail.port, mail.box.count()) == (port, 2)
    mail.stop()


def test_a_mail_that_is_not_there_is_named(mail: LocalMail) -> None:
    mail.stop()

    assert "There is no mail nothing" in prm(mail, "show", "nothing")
    assert prm(mail, "list") == "None.\n"


def test_no_server_is_started_where_the_environment_names_one(tmp_path: Path) -> None:
    settings = Settings.read({"PRM_HOME": str(tmp_path), "PRM_SMTP_HOST": "mail.example"})
    platform = Platform(settings, own_ports=True)

    platform._start_mail(lambda _: None)

    assert (platform.state.mail, platform.mail.has_run) == (None, False)


@pytest.mark.parametrize("address", [None, "127.0.0.1:8025"])
def test_services_are_told_of_the_server_of_this_machine(
    tmp_path: Path, address: str | None
) -> None:
    state = State(mail=address, urls={registry.ISSUER.name: "http://127.0.0.1:8001"})
    service = registry.SERVICES[-1]
    state.addresses[service.name] = Addresses("", "")

    told = ServiceProcess(service, tmp_path, state, None, False)._environment(8006)

    assert (told.get("PRM_SMTP_HOST"), told.get("PRM_SMTP_TLS")) == (
        ("127.0.0.1", "none") if address else (None, None)
    )
