"""What the issuer is told by whoever runs it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """`url`: under which it is reached, the tokens' `iss`. `operator_secret`: of the client
    `operator`, who gets a token for whom he names; None, as in every deployment: there is none.
    """

    url: str
    operator_secret: str | None


AskedTerms = Callable[[], Terms]
