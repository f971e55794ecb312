"""A notification is mailed: whether at all, in whose language, and what became of it."""

from dataclasses import dataclass
from datetime import timedelta

from chassis.delivery import Errand, Outside, TryLater
from chassis.web.positions import Tokens
from notify_svc.outbound.letters import Letter, letter_of
from notify_svc.outbound.messages import BadAddress, Mail, Sender, address_of, mail_of, ways_out
from notify_svc.outbound.smtp import MailServer, Refused
from notify_svc.outbound.words import language_for, say
from prm_contracts.notifications import (
    MailFact,
    NotificationFailed,
    NotificationSent,
    NotificationSuppressed,
    SuppressionReason,
)
from prm_contracts.partners import Unsubscription

GIVE_UP_AFTER = timedelta(days=3)  # a mail that was not taken for so long is no news any more


@dataclass(frozen=True)
class Mailing:
    """`links`: seals what a link in a mail asks for."""

    sender: Sender
    server: MailServer
    links: Tokens

    async def mail(self, outside: Outside, errand: Errand) -> MailFact:
        """What became of it. Raises TryLater."""
        try:
            return await self._mailed(outside, errand)
        except BadAddress:
            return NotificationFailed(reason_code="bad-address", attempts=errand.attempt)
        except Refused as refused:
            return NotificationFailed(
                reason_code="refused", smtp_status=refused.status, attempts=errand.attempt
            )
        except TryLater:
            if errand.waited < GIVE_UP_AFTER:
                raise
            return NotificationFailed(reason_code="given-up", attempts=errand.attempt)

    async def _mailed(self, outside: Outside, errand: Errand) -> MailFact:
        letter = await letter_of(outside.database, errand.aggregate_id)
        if letter is None or letter.language is None:
            raise TryLater("its recipient is not known yet")
        if reason := why_not(letter):
            return NotificationSuppressed(reason_code=reason)
        address = await outside.vault.open(letter.email) if letter.email else None
        name = await outside.vault.open(letter.name) if letter.name else None
        if address is None:
            return NotificationSuppressed(reason_code="erased")
        language, mail = self.written(letter, name or "", address)
        await self.server.send(mail)
        message_id = self.sender.message_id(letter.notification_id)
        return NotificationSent(message_id=message_id, language=language)

    def written(self, letter: Letter, name: str, address: str) -> tuple[str, Mail]:
        """The language that it is in, and the mail. Raises BadAddress."""
        preferences_url = self.sender.preferences_url if letter.group else None
        unsubscribe_url = self.unsubscribe_url(letter)
        said = say(
            letter.template,
            letter.params,
            name=name,
            occurred_at=letter.occurred_at,
            time_zone=letter.time_zone,
            wanted=(letter.language, self.sender.language),
            preferences_url=preferences_url,
            unsubscribe_url=unsubscribe_url,
            is_mutable=letter.group is not None,
        )
        mail = mail_of(
            said,
            self.sender,
            address_of(name, address),
            letter.notification_id,
            letter.queued_at,
            ways_out=ways_out(preferences_url, unsubscribe_url),
        )
        return said.language, mail

    def unsubscribe_url(self, letter: Letter) -> str | None:
        """By which the recipient gets no more of the letter's group; it tells nobody who that is.

        None: one cannot do without such letters, or the link would lead nowhere.
        """
        if letter.group is None or letter.language is None or self.sender.unsubscribe_url is None:
            return None
        asks = Unsubscription(
            contact_id=letter.recipient_id,
            group=letter.group,
            language=language_for(letter.language, self.sender.language),
        )
        link = self.links.link(Unsubscription.purpose, asks.model_dump_json())
        return f"{self.sender.unsubscribe_url}?link={link}"


def why_not(letter: Letter) -> SuppressionReason | None:
    if not letter.is_active:
        return "inactive"
    if letter.is_muted:
        return "muted"
    return None if letter.email else "no-address"
