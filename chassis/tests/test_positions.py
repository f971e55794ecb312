"""Position tokens and cursors: what may be handed back, and what may not."""

from uuid import UUID, uuid4

import pytest

from chassis.sql import Statement
from chassis.store import Saved
from chassis.web.positions import MOST, CursorUnreadable, PositionUnreadable, Seen, Tokens

from .counters import COUNTERS, Counted

TOKENS = Tokens(bytes(32), (COUNTERS,))
ALPHA, BOREALIS = UUID(int=1), UUID(int=2)
COUNTER = UUID(int=21)


def list_of(status: str) -> Statement:
    return Statement("SELECT document FROM counters", {"status": status})


def left(*versions: tuple[UUID, int]) -> Saved:
    return Saved(versions, types=(Counted.fact_type,) * len(versions))


def test_a_position_says_what_a_command_left() -> None:
    position = TOKENS.position(left((COUNTER, 3)))

    assert Tokens(bytes(32), ()).seen(position) == [Seen("prm.counters", COUNTER, 3)]


def test_a_position_tells_a_client_nothing() -> None:
    one, other = TOKENS.position(left((COUNTER, 3))), TOKENS.position(left((COUNTER, 3)))

    assert one != other
    assert COUNTER.hex not in one


def test_a_position_fits_into_a_header_whatever_the_command_touched() -> None:
    position = TOKENS.position(left(*((uuid4(), 1) for _ in range(1000))))

    assert len(position) < 8_000
    assert len(TOKENS.seen(position)) == MOST


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "x",
        "ümlaut",
        TOKENS.position(left((COUNTER, 3)))[:-4] + "AAA=",
        Tokens(bytes(31) + b"x", (COUNTERS,)).position(left((COUNTER, 3))),
        TOKENS.cursor("a", None, list_of("open")),
    ],
    ids=["empty", "short", "not ASCII", "cut", "of another key", "of another purpose"],
)
def test_a_forged_position_is_refused(forged: str) -> None:
    with pytest.raises(PositionUnreadable):
        TOKENS.seen(forged)


def test_a_cursor_goes_on_where_it_was() -> None:
    cursor = TOKENS.cursor("2027-03-01 ü", ALPHA, list_of("open"))

    assert TOKENS.after(cursor, ALPHA, list_of("open")) == "2027-03-01 ü"


@pytest.mark.parametrize(
    ("tenant_id", "query"),
    [
        (BOREALIS, list_of("open")),
        (None, list_of("open")),
        (ALPHA, list_of("closed")),
        (ALPHA, Statement("SELECT document FROM others", {"status": "open"})),
    ],
)
def test_a_cursor_of_another_list_or_somebody_else_is_refused(
    tenant_id: UUID | None, query: Statement
) -> None:
    cursor = TOKENS.cursor("a", ALPHA, list_of("open"))

    with pytest.raises(CursorUnreadable):
        TOKENS.after(cursor, tenant_id, query)


def test_a_request_hash_is_keyed() -> None:
    here, there = TOKENS.request_hash(b"POST /", b"{}"), Tokens(bytes(31) + b"x", ()).request_hash

    assert here == TOKENS.request_hash(b"POST /", b"{}")
    assert here not in {there(b"POST /", b"{}"), TOKENS.request_hash(b"POST /{}", b"")}
