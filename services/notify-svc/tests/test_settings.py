"""What notify-svc takes from its environment, and what it refuses before it starts."""

import pytest
from pydantic import ValidationError

from notify_svc.main import server_of
from notify_svc.settings import Settings

NEEDED = {
    "PRM_SERVICE_PORT": "8006",
    "PRM_KAFKA_BOOTSTRAP": "127.0.0.1:9092",
    "PRM_DATABASE_DSN": "dbname=a",
    "PRM_QUESTIONS_DSN": "dbname=a",
    "PRM_KEYS_DSN": "dbname=a",
    "PRM_MASTER_KEY": "A" * 43 + "=",
    "PRM_TOKEN_KEY": "A" * 43 + "=",
    "PRM_ISSUER_URL": "http://127.0.0.1:8001",
}


def read(**smtp: str) -> Settings:
    return Settings.read(NEEDED | {f"PRM_{name.upper()}": value for name, value in smtp.items()})


def test_without_a_host_there_is_no_mail_server() -> None:
    assert server_of(read()) is None


def test_a_mail_server_elsewhere_is_spoken_to_encrypted() -> None:
    settings = read(
        smtp_host="mail.meridian.example",
        smtp_user="partners",
        smtp_password="secret",
        smtp_sender="Meridian <partners@meridian.example>",
    )

    server = server_of(settings)

    assert server is not None
    assert (server.encryption, server.port, server.name) == ("starttls", 587, "meridian.example")
    assert (server.user, server.password) == ("partners", "secret")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_mail_server_on_this_machine_may_go_without(host: str) -> None:
    server = server_of(read(smtp_host=host, smtp_tls="none"))

    assert server is not None
    assert server.encryption == "none"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smtp_tls", "none"),
        ("smtp_tls", "maybe"),
        ("smtp_port", "0"),
        ("smtp_ca_file", "/nowhere/ca.pem"),
        ("smtp_ca_file", __file__),
        ("smtp_sender", "nobody"),
        ("smtp_sender", "A <a@b.example>\nBcc: c@d.example"),
        ("smtp_sender", "ä@b.example"),
        ("smtp_reply_to", "@b.example"),
        ("preferences_url", "javascript:alert(1)"),
        ("preferences_url", "https://a.example/> x"),
        ("unsubscribe_url", "http://a.example/v1/unsubscribe"),
        ("unsubscribe_url", "https://a.example/?a=b"),
    ],
)
def test_what_would_not_work_is_named(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        read(**{"smtp_host": "mail.meridian.example", name: value})

    assert [each["loc"][0] for each in wrong.value.errors()] == [name]


def test_the_password_is_in_no_text() -> None:
    assert "secret" not in repr(read(smtp_password="secret"))
