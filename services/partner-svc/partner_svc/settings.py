"""What the environment says to partner-svc: what it says to every service, and the issuer's."""

from pydantic import SecretStr

import chassis.running.settings


class Settings(chassis.running.settings.Settings):
    """`operator_secret`: of the client that takes tokens for anybody, in a story only."""

    operator_secret: SecretStr | None = None
