"""E-mails hold together whatever strangers' words are in them, as a mail program reads them."""

import email
import email.policy
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from notify_svc.outbound.letters import GROUPS
from notify_svc.outbound.messages import (
    BadAddress,
    Mail,
    Sender,
    address_of,
    mail_of,
    shown,
    unencoded,
    ways_out,
)
from notify_svc.outbound.words import LANGUAGES, plain, say, shortened
from notify_svc.projections import TEXTS

from .test_words import PARAMS

ID, AT = UUID(int=81), datetime(2027, 3, 1, 9, tzinfo=UTC)
SENDER = Sender(
    Address("Meridian Partner", "partners", "meridian.example"),
    reply_to="channel@meridian.example",
    preferences_url="https://portal.example/mails",
)
UNSUBSCRIBE = "https://portal.example/v1/unsubscribe?link=" + "Ab_-" * 50
HEADERS = {
    "From",
    "To",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
    "Content-Language",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
}
HOSTILE = {
    "markup": "<script>alert(1)</script><a href='x'>",
    "header": "x\r\nBcc: victim@example.org\r\n\r\nbody",
    "line separator": "x\u2028Bcc: victim@example.org\x85Cc: y@z.example\x0b\x00",
    "quotes": "\"A\" <b@c.example>, \\; 'd' =?utf-8?q?e?=",
    "template": "{{ 7 * 7 }} {% raw %} {customer} %s",
    "right to left": "\u202eevil\u202c שלום עולם العربية",
    "emoji": "👩\u200d👩\u200d👧 🇩🇪 " * 20,
    "one long word": "x" * 10_000,
    "long text": "Ünïted wörds " * 800,
    "dots": "\n.\nQUIT",
}


def written(template: str, language: str, word: str) -> Mail:
    said = say(
        template,
        PARAMS | {"customer": word, "reason": word, "rule": word},
        name=word,
        occurred_at=AT,
        time_zone="Europe/Berlin",
        wanted=(language,),
        preferences_url=SENDER.preferences_url,
        unsubscribe_url=UNSUBSCRIBE,
        is_mutable=template in GROUPS,
    )
    to = address_of(word, "anna@alpha.example")
    return mail_of(said, SENDER, to, ID, AT, ways_out=ways_out(SENDER.preferences_url, UNSUBSCRIBE))


def read(mail: Mail) -> EmailMessage:
    message = email.message_from_bytes(mail.content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part
    return str(part.get_content())


def assert_whole(mail: Mail, word: str) -> None:
    message = read(mail)
    assert sorted(message.keys()) == sorted(HEADERS)
    assert not message.defects
    [to] = message["To"].addresses
    assert (to.addr_spec, to.display_name) == ("anna@alpha.example", shown(word))
    assert max(map(len, mail.content.split(b"\r\n"))) <= 998
    assert b"\n" not in mail.content.replace(b"\r\n", b"")
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", TEXTS)
def test_every_kind_in_every_language_takes_any_words(template: str, language: str) -> None:
    mail = written(template, language, "".join(HOSTILE.values()))

    assert_whole(mail, "".join(HOSTILE.values()))
    page = body(read(mail), "html")
    assert "&lt;script&gt;" in page
    assert "<script" not in page


@pytest.mark.parametrize("word", HOSTILE.values(), ids=HOSTILE)
def test_a_name_stays_one_word_among_others(word: str) -> None:
    mail = written("deal-approved", "es", word)

    assert_whole(mail, word)
    subject = shortened(f"Oportunidad aprobada: {plain(word)}".rstrip())
    assert read(mail)["Subject"] == unencoded(subject)
    assert f"Su oportunidad con {plain(word)} está aprobada." in body(read(mail), "plain")
    assert f"Su oportunidad con {escape(plain(word))} está" in body(read(mail), "html")


@given(st.text(max_size=300))
def test_no_name_breaks_a_mail(word: str) -> None:
    mail = written("deal-approved", "es", word)

    assert_whole(mail, word)
    said = body(read(mail), "plain")
    assert f"Su oportunidad con {plain(word)} está aprobada." in said


@pytest.mark.parametrize(
    ("word", "on_one_line"),
    [
        ("x\r\nBcc: victim@example.org", "x Bcc: victim@example.org"),
        ("a\x00b\x1b[31m\x85c\u2028d", "a b [31m c d"),
        ("\u202eevil\u202c \u2066x\ufeff", "evil x"),
        ("👩\u200d👧 שלום", "👩\u200d👧 שלום"),
    ],
)
def test_what_controls_printers_headers_or_the_direction_is_left_out(
    word: str, on_one_line: str
) -> None:
    assert plain(word) == on_one_line


def test_a_subject_says_the_customer_in_full_unless_it_is_endless() -> None:
    short = read(written("deal-approved", "en", "Müller & Söhne 🚚 GmbH"))["Subject"]
    endless = read(written("deal-approved", "en", "word " * 2000))["Subject"]

    assert short == "Deal approved: Müller & Söhne 🚚 GmbH"
    assert endless.startswith("Deal approved: word word")
    assert len(endless) <= 120


def test_what_is_put_into_a_page_is_escaped_once() -> None:
    page = body(read(written("deal-approved", "en", 'Smith & "Sons" <Ltd>')), "html")

    assert "Smith &amp; &#34;Sons&#34; &lt;Ltd&gt;" in page


def test_a_repeat_is_the_same_to_the_byte_and_has_the_same_id() -> None:
    first, again = (written("deal-approved", "en", "Alpha").content for _ in range(2))

    assert first == again
    assert read(written("deal-approved", "en", "Alpha"))["Message-ID"] == f"<{ID}@meridian.example>"


def test_machines_see_that_nobody_wrote_it() -> None:
    message = read(written("deal-approved", "fr", "Alpha"))

    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "fr"
    assert message["Date"].datetime == AT


def test_one_click_is_offered_before_a_page_to_choose_on() -> None:
    mail = written("deal-approved", "fr", "Alpha")

    assert f"\r\nList-Unsubscribe: <{UNSUBSCRIBE}>\r\n".encode() in mail.content
    assert read(mail)["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f"Ne plus recevoir de courriels de ce type: {UNSUBSCRIBE}" in body(read(mail), "plain")
    assert ways_out("https://a.example", None) == {"List-Unsubscribe": "<https://a.example>"}
    assert ways_out(None, None) == {}


@pytest.mark.parametrize(
    "text",
    ["", "@", "anna", "anna@", "@x.example", "a b@x.example", "a@b@x..example", "a@" + "x" * 70],
)
def test_an_address_that_no_server_would_take_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        address_of("Anna", text)


def test_an_international_address_keeps_its_name_and_gets_an_ascii_domain() -> None:
    to = address_of("Änne", "änne@bücher.example")

    assert to.addr_spec == "änne@xn--bcher-kva.example"
