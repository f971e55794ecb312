"""A service of the platform as a local process: its environment, its port, when it is ready."""

import os
import signal
import sys
from pathlib import Path

import httpx2

from ops import ports, processes
from ops.failures import with_last_lines
from ops.local import Launch, LocalProcess, wait_for
from ops.loopback import HTTP
from ops.registry import ISSUER, Service
from ops.state import State


class ServiceProcess(LocalProcess):
    """`python -m <package>.main` below `home`; the address is its base URL."""

    patience = 120
    end_signal = signal.SIGTERM  # drains within 20 s
    way_out = "`prm status` shows what the others miss; `prm up` goes on from here."

    def __init__(
        self, service: Service, home: Path, state: State, port: int | None, bound: bool
    ) -> None:
        super().__init__(home, port, bound)
        self.service, self.name, self.state = service, service.name, state

    @property
    def address(self) -> str:
        return f"http://{ports.LOOPBACK}:{self.port}"

    def begin(self) -> None:
        """At the port that was taken for it: the others know it by that address."""
        if not self.is_alive():
            self.prepare()
            if not self.has_run:
                self.take_port()
            self._run()

    def replace(self) -> None:
        """A new process beside the old one, which ends once the new one answers in its place.

        Raises OpsError if that does not come about; the old one then goes on.
        """
        old = processes.recall(self._record)
        if not old:
            self.start()
            return
        self._run()
        if not wait_for(lambda: not (old.is_alive() and self.is_alive()), self.patience):
            self.kill()
        if old.is_alive():
            processes.remember(self._record, old)
            raise with_last_lines(
                f"No new process of {self.name} could take its place: the old one goes on.",
                self.log.read_text(errors="replace"),
                f"Whole log: {self.log}; that of the old one beside it. {self.way_out}",
            )
        self.wait_until_ready()

    def launch(self, port: int) -> Launch:
        command = [sys.executable, "-m", f"{self.service.package}.main"]
        return Launch(command, env={**os.environ, **self._environment(port)})

    def is_ready(self) -> bool:
        return self.readiness()[0]

    def readiness(self) -> tuple[bool, list[str]]:
        """Whether it is ready, and if not, why."""
        try:
            answer = HTTP.get(f"{self.address}/readyz", timeout=5)
            return answer.status_code == httpx2.codes.OK, list(answer.json().get("reasons", []))
        except (httpx2.HTTPError, ValueError) as error:
            return False, [str(error) or type(error).__name__]

    def why_not_ready(self) -> str:
        return f": {'; '.join(self.readiness()[1]) or 'it gives no reason'}."

    def port_to_take(self) -> int:
        """The registered one, which clients know; only tests let it be any."""
        return super().port_to_take() if self.first_port is None else self.first_port

    def _environment(self, port: int) -> dict[str, str]:
        state, addresses = self.state, self.state.addresses[self.name]
        environment = {
            "PYTHONUNBUFFERED": "1",
            "PRM_HOST": ports.LOOPBACK,
            "PRM_SERVICE_PORT": str(port),
            "PRM_ROLE": "all",
            "PRM_INSTANCE": f"{self.name}-1",
            "PRM_HANDOVER": "handover",  # in the folder where it works; paths of sockets are short
            "PRM_KAFKA_BOOTSTRAP": str(state.kafka),
            "PRM_DATABASE_DSN": addresses.database_dsn,
            "PRM_QUESTIONS_DSN": addresses.questions_dsn,
            "PRM_KEYS_DSN": addresses.keys_dsn,
            "PRM_MASTER_KEY": state.secrets.master_key,
            "PRM_TOKEN_KEY": state.secrets.token_key,
            "PRM_ISSUER_URL": state.urls[ISSUER.name],
            "PRM_STORY": "1" if state.story else "0",
        }
        if self.service is ISSUER:
            environment["PRM_OPERATOR_SECRET"] = state.secrets.operator_secret
        return environment | (self._mailing(state.mail) if state.mail else {})

    def _mailing(self, address: str) -> dict[str, str]:
        """To the mail server of this machine, whatever the caller's environment says of another."""
        host, _, port = address.partition(":")
        return {
            "PRM_SMTP_HOST": host,
            "PRM_SMTP_PORT": port,
            "PRM_SMTP_TLS": "none",
            "PRM_SMTP_CA_FILE": "",
            "PRM_SMTP_USER": "",
            "PRM_SMTP_PASSWORD": "",
            "PRM_SMTP_SENDER": "Meridian Cloud <partners@meridian.example>",
            "PRM_UNSUBSCRIBE_URL": f"{self.state.urls[ISSUER.name]}/v1/unsubscribe",
        }
