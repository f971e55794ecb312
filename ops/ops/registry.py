"""The services that the operator starts, each with its port.

8003 and 8004 are kept for lead-router and mdf-svc.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    name: str
    port: int

    @property
    def package(self) -> str:
        return self.name.replace("-", "_")


ISSUER = Service("partner-svc", 8001)  # signs the tokens that all verify
SERVICES = (
    ISSUER,
    Service("deal-svc", 8002),
    Service("territory-svc", 8005),
    Service("notify-svc", 8006),
)
