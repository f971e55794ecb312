"""How hard the stories of faults are: short in every run, long by `make chaos`; and the seed."""

import os
from dataclasses import dataclass
from random import Random, SystemRandom


@dataclass(frozen=True)
class Chaos:
    """`kills`: of services; `outage`: seconds that something is away; `restarts`: of each service.

    `seed`: PRM_CHAOS_SEED, else a new one each time; what is by chance follows from it.
    """

    is_long: bool
    seed: int

    @staticmethod
    def asked() -> "Chaos":
        seed = os.environ.get("PRM_CHAOS_SEED") or SystemRandom().randrange(10**6)
        chaos = Chaos("PRM_CHAOS" in os.environ, int(seed))
        print(f"PRM_CHAOS_SEED={chaos.seed}")  # noqa: T201 - shown when a story fails
        return chaos

    @property
    def kills(self) -> int:
        return 20 if self.is_long else 4

    @property
    def outage(self) -> float:
        return 30.0 if self.is_long else 4.0

    @property
    def pause(self) -> float:
        """Of a caller between two commands: what is taken must be worked off, mails included."""
        return 0.1 if self.is_long else 0.3

    @property
    def restarts(self) -> int:
        return 3 if self.is_long else 1

    def victims(self, names: list[str]) -> list[str]:
        """Each as often as the others, in an order by chance."""
        victims = names * (self.kills // len(names))
        self.chance("victims").shuffle(victims)
        return victims

    def chance(self, of: str) -> Random:
        return Random(f"{self.seed} {of}")  # noqa: S311 - no secret
