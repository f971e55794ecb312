"""What may be wrong with a service, by its process, its answers, its metrics and its letters."""

import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx2
import psycopg

from chassis.storage.migrate import MigrationChanged, pending
from ops import ports
from ops.doctor.findings import Area, Finding
from ops.doctor.vitals import Vitals
from ops.failures import OpsError
from ops.loopback import HTTP
from ops.platform import Platform
from ops.service_process import ServiceProcess

LATE = 5.0  # seconds that a fact or a deadline may take
WATCHED_FOR = 1.5  # seconds, to see whether a lag moves
MOST_LETTERS = 5  # of a service, that are told one by one
APART = timedelta(seconds=5)

# What a service says when it is not ready, and what is to be done about it. The first that fits.
REMEDIES = (
    (r"prm lag reset", "if the topic was made anew: `prm lag reset {service} {topic}`"),
    (
        r"prm restore",
        "`prm restore {service}` brings its database, best a newer backup of it, forward",
    ),
    (
        r"is missing, or has another",
        "`prm up` makes missing topics; a partition count never changes",
    ),
    (r"relay stopped", "compare the store with its backup; `prm logs {service}` says where it is"),
    (r"issuer", "the issuer is partner-svc: `prm up` starts it; PRM_ISSUER_URL names it elsewhere"),
    (r"[Bb]roker|Kafka|Faust", "it goes on by itself once Kafka answers: see kafka above"),
    (
        r"database|keys of personal data|psycopg|Operational|Pool",
        "it goes on by itself once PostgreSQL does: see above",
    ),
    (r"has not (joined|started)", "it is starting: look again in a few seconds"),
    (r"", "`prm logs {service}` says more"),
)


def service(platform: Platform, name: str, *, has_database: bool = True) -> Area:
    """Without a database only whether it lives: all else would wait, and say that again."""
    process = platform.services[name]
    if not process.is_alive():
        return Area(name, "", (_not_running(process),))
    if not _lives(process):
        what = f"process runs, but does not answer at {process.address}"
        to_do = f"`prm logs {name}` says why; end the process, and `prm up` starts it again"
        return Area(name, "", (Finding("broken", what, to_do),))
    findings = [*_of_readiness(process)]
    if not has_database:
        return Area(name, "it lives", tuple(findings))
    findings += [
        *_of_migrations(platform, process),
        *_of_vitals(name, Vitals.read(process.address), process.address),
        *_of_letters(platform, name),
        *_of_errands(platform, name),
    ]
    return Area(name, f"ready at {process.address}, nothing waits", tuple(findings))


def _not_running(process: ServiceProcess) -> Finding:
    if not process.has_run:
        return Finding("unknown", "it has never run here", "`prm up` starts everything")
    if not ports.is_free(process.port):
        holder = ports.holder_of(process.port)
        what = f"it does not run, and its port {process.port} is held by {holder}"
        return Finding("broken", what, "end that, or shift all with PRM_PORT_OFFSET; then `prm up`")
    to_do = f"`prm up` starts it; `prm logs {process.name}` shows its last words"
    return Finding("broken", "it does not run", to_do)


def _lives(process: ServiceProcess) -> bool:
    try:
        return HTTP.get(f"{process.address}/healthz", timeout=5).is_success
    except httpx2.HTTPError:
        return False


def _of_readiness(process: ServiceProcess) -> Iterator[Finding]:
    is_ready, reasons = process.readiness()
    if not is_ready:
        for reason in dict.fromkeys(reasons) or ["it gives no reason"]:
            yield Finding("broken", f"not ready: {reason}", remedy(process.name, reason))


def remedy(service: str, reason: str) -> str:
    topic = next(iter(re.findall(r"prm\.[a-z.-]+", reason)), "TOPIC")
    advice = next(advice for pattern, advice in REMEDIES if re.search(pattern, reason))
    return advice.format(service=service, topic=topic)


def _of_migrations(platform: Platform, process: ServiceProcess) -> Iterator[Finding]:
    addresses = platform.state.addresses.get(process.name)
    if addresses is None:
        return
    try:
        missing = pending(addresses.database_dsn, process.service.package)
    except MigrationChanged as changed:
        what = f"the migration {changed} was edited after it had run here"
        yield Finding("broken", what, "undo that edit, and write a new migration")
    except psycopg.Error:
        return  # the database is told about elsewhere
    else:
        if missing:
            what = f"migrations have not run: {', '.join(missing)}"
            yield Finding("broken", what, "`prm down`, then `prm up` runs them")


def _of_vitals(name: str, vitals: Vitals | None, url: str) -> Iterator[Finding]:
    if vitals is None:
        to_do = f"`prm logs {name}` says why"
        yield Finding("unknown", "it shows no metrics", to_do)
        return
    unread = [what for what, failed in vitals.by("prm_scrape_failed", "what").items() if failed]
    if unread:
        what = f"how far it is cannot be told: no {' and no '.join(sorted(unread))}"
        yield Finding("unknown", what, "see what is broken first")
    yield from _of_relay(name, vitals)
    yield from _of_delivery(name, vitals, url)
    late = vitals.get("prm_deadlines_oldest_late_seconds") or 0
    if late > LATE:
        what = f"{vitals.get('prm_deadlines_late'):.0f} deadlines are late"
        yield Finding("hampered", what, f"`prm logs {name}` says why they do not fire", span(late))


def _of_relay(name: str, vitals: Vitals) -> Iterator[Finding]:
    behind, late = vitals.get("prm_relay_behind"), vitals.get("prm_relay_behind_seconds")
    if behind and late and late > LATE:
        what = f"{behind:.0f} facts are recorded but not published"
        to_do = f"they are safe and leave once the broker takes them; `prm logs {name}` says more"
        yield Finding("hampered", what, to_do, span(late))


def _of_delivery(name: str, before: Vitals, url: str) -> Iterator[Finding]:
    """What is behind and does not move. What moves is no finding: it is being worked off."""
    lags = before.by("prm_delivery_lag", "topic")
    if not any(lags.values()):
        return
    time.sleep(WATCHED_FOR)
    after = Vitals.read(url)
    still = after.by("prm_delivery_lag", "topic") if after else {}
    has_moved = after is not None and _delivered(before) != _delivered(after)
    for topic, lag in sorted(still.items()):
        if lag and lag >= lags.get(topic, 0) and not has_moved:
            what = f"{lag:.0f} facts of {topic} have had no effect, and none has in {WATCHED_FOR} s"
            yield Finding("hampered", what, f"`prm lag show`; `prm logs {name}` says what stops it")


def _delivered(vitals: Vitals) -> float:
    return sum(vitals.by("prm_delivery_facts_total", "topic").values())


def _of_letters(platform: Platform, name: str) -> Iterator[Finding]:
    try:
        dead = platform.client.dead_letters(name, "dead", 200)
        waiting = platform.client.dead_letters(name, "waiting", 200)
    except OpsError as error:
        to_do = "see partner-svc: it gives the token for this question"
        yield Finding("unknown", f"its dead letters cannot be read: {str(error)[:200]}", to_do)
        return
    failed = [letter for letter in waiting if letter["kind"] not in ("behind", "held")]
    for letter in (dead + failed)[:MOST_LETTERS]:
        behind = sum(_is_behind(other, letter) for other in waiting)
        yield _of_letter(name, letter, behind)
    if len(dead + failed) > MOST_LETTERS:
        what = f"{len(dead + failed) - MOST_LETTERS} more letters"
        yield Finding("hampered", what, f"`prm dlq list --service {name}`")


def _is_behind(other: dict[str, Any], letter: dict[str, Any]) -> bool:
    its = letter["subscriber"], letter["aggregate_id"]
    return other["kind"] == "behind" and (other["subscriber"], other["aggregate_id"]) == its


def _of_letter(name: str, letter: dict[str, Any], behind: int) -> Finding:
    number, is_dead = letter["id"], letter["state"] == "dead"
    where = f"{letter['topic']}/{letter['partition']}/{letter['offset']}"
    what = f"{letter['state']} letter {number}, {letter['type'] or 'no fact'} at {where}: "
    what += letter["reason"] + (f"; {behind} facts wait behind it" if behind else "")
    redrive, discard = (f"`prm dlq {verb} {name} {number}`" for verb in ("redrive", "discard"))
    act = f"{redrive} once its cause is gone, else {discard}"
    if letter["kind"] in ("forked", "untrustworthy"):
        act = f"its owner did not write it: find out who did, then {discard}"
    to_do = f"`prm dlq show {name} {number}`; {act}" if is_dead else "nothing: it is tried again"
    return Finding("broken" if is_dead else "hampered", what, to_do, letter["parked_at"])


def _of_errands(platform: Platform, name: str) -> Iterator[Finding]:
    try:
        waiting = platform.client.state_of(name)["outbound"]
    except OpsError:
        return  # why it cannot be asked is told above
    for line in waiting:
        to_do = f"nothing is lost: it is tried again by itself; `prm logs {name}` says what was met"
        yield Finding("hampered", line, to_do)


def clocks(platform: Platform) -> Area:
    """All services go by one time."""
    times: dict[str, datetime] = {}
    for name, process in platform.services.items():
        if process.is_alive():
            try:
                times[name] = datetime.fromisoformat(platform.client.state_of(name)["now"])
            except OpsError:
                continue
    spread = max(times.values()) - min(times.values()) if times else timedelta()
    if spread > APART + timedelta(seconds=len(times)):  # they are asked one after the other
        what = f"services are {spread} apart: {', '.join(f'{n} {t}' for n, t in times.items())}"
        to_do = "they read the story's clock every second: `prm clock show`; see their databases"
        return Area("clock", "", (Finding("broken", what, to_do),))
    shown = max(times.values()).isoformat(timespec="seconds") if times else "no service tells it"
    return Area("clock", shown)


def span(seconds: float) -> str:
    """For people: 12 s, 5 min, 3 h, 2 d."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
