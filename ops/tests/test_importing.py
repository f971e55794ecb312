"""What `prm import` makes of a file, and how it waits for a service that is busy or away."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ops.client import Client
from ops.failures import OpsError
from ops.importing import sending
from ops.importing.checks import Checks
from ops.importing.importer import Count, progress
from ops.importing.journal import Journal
from ops.importing.kinds import CONTACTS, PARTNERS, TERRITORIES, Kind, Told
from ops.importing.rows import FileUnreadable, Row, RowError, rows_of
from ops.importing.sending import Sending
from ops.state import State

EXTERNAL = {"system": "crm", "id": "7"}
ROW = Row(3, {"external_id": EXTERNAL, "occurred_at": "2019-03-01T08:30:00Z"})
TOLD = Told("register", "/v1/partners", {"legal_name": "Alpha"}, "2019-03-01T08:30:00Z")
WITHIN = "/body/changes/0/definition/rule/geographies/0"
COLUMNS = {"roles": {"type": "array"}, "price": {"type": "integer"}, "name": {"type": "string"}}


def read(folder: Path, name: str, content: bytes) -> list[Row | RowError]:
    (folder / name).write_bytes(content)
    return list(rows_of(folder / name, {"properties": COLUMNS}))


def test_json_lines_are_rows_with_their_lines_and_without_nulls(tmp_path: Path) -> None:
    found = read(tmp_path, "a.jsonl", b'{"name":"A","note":null}\n\n{"name":"\xc3\xa4"}')

    assert found == [Row(1, {"name": "A"}), Row(3, {"name": "ä"})]


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"7", b'{"a":1,"a":2}', b'{"a":NaN}', b'"\xff"', b"[" * 100_000]
)
def test_a_line_that_is_no_object_is_told_and_the_next_is_read(tmp_path: Path, line: bytes) -> None:
    [wrong, row] = read(tmp_path, "a.jsonl", line + b'\n{"name":"A"}\n')

    assert isinstance(wrong, RowError)
    assert (wrong.line, wrong.pointer) == (1, "")
    assert row == Row(2, {"name": "A"})


def test_a_table_has_lists_numbers_and_members_of_members(tmp_path: Path) -> None:
    content = (
        b'\xef\xbb\xbfname,roles,price,id.system,id.id\r\n"A,\r\nB",x; y,12,crm,07\r\nC,,,,\r\n'
    )

    found = read(tmp_path, "a.csv", content)

    first = {"name": "A,\r\nB", "roles": ["x", "y"], "price": 12}
    assert found == [Row(2, first | {"id": {"system": "crm", "id": "07"}}), Row(4, {"name": "C"})]


def test_a_list_may_be_a_member_of_a_member(tmp_path: Path) -> None:
    """As the description of the API has it, behind a reference."""
    rule = {"properties": {"families": {"type": "array"}, "largest": {"type": "integer"}}}
    schema = {"properties": {"rule": {"$ref": "#/schemas/Rule"}}, "schemas": {"Rule": rule}}
    (tmp_path / "a.csv").write_text("rule.families,rule.largest,rule.name\nx; y,7,7\n")

    [row] = rows_of(tmp_path / "a.csv", schema)

    assert row == Row(2, {"rule": {"families": ["x", "y"], "largest": 7, "name": "7"}})


@pytest.mark.parametrize("cell", ["12.5", "1e3", "--1", "²", "٣"])
def test_a_cell_that_is_no_integer_stays_what_it_is(tmp_path: Path, cell: str) -> None:
    [row] = read(tmp_path, "a.csv", f"price\n{cell}\n".encode())

    assert row == Row(2, {"price": cell})


def test_a_row_with_other_columns_than_the_first_line_is_told(tmp_path: Path) -> None:
    assert read(tmp_path, "a.csv", b"name,price\nA,1,2\n") == [
        RowError(2, "", "3 cells for 2 columns")
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"{}"),
        ("a.csv", b"name,name\n"),
        ("a.csv", b"name,\n"),
        ("a.csv", b"name\n\xe9\n"),
        ("a.csv", b'name\n"A\n'),
        ("a.csv", b"id,id.system\nA,crm\n"),
    ],
)
def test_a_file_that_is_no_table_is_unreadable_and_named(
    tmp_path: Path, name: str, content: bytes
) -> None:
    with pytest.raises(FileUnreadable, match=name):
        read(tmp_path, name, content)


def test_a_journal_that_was_torn_goes_on_behind_its_last_whole_line(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    for number in ("7", "8"):
        journal = Journal(file, PARTNERS)
        journal.tell({"external_id": {"system": "crm", "id": number}}, f"id-{number}")
        journal.close()
        with journal.path.open("a") as out:
            out.write('{"external_id"')

    assert {name: it.id for name, it in Journal(file, PARTNERS).done.items()} == {
        "crm 7": "id-7",
        "crm 8": "id-8",
    }


def checked(kind: Kind, *rows: dict[str, Any], has_approver: bool = True) -> list[tuple[int, str]]:
    schema = {"type": "object", "properties": {"name": {"pattern": "^[a-z]+$"}}}
    checks = Checks(kind, schema, {"crm 1": "id-1"}, has_approver=has_approver)
    told = [
        checks.wrong_with(Row(line, {**ROW.document, **row})) for line, row in enumerate(rows, 1)
    ]
    assert "secret" not in str(told)
    return [(each.line, each.pointer) for errors in told for each in errors]


def test_the_shape_of_a_row_is_told_without_its_values() -> None:
    assert checked(PARTNERS, {"name": "secret!"}) == [(1, "/name")]


def test_an_external_id_stands_once_in_a_file() -> None:
    other = {"external_id": {"system": "crm", "id": "8"}}

    assert checked(PARTNERS, {}, other, {}) == [(3, "/external_id")]


def test_a_partner_that_nobody_knows_is_told() -> None:
    known, unknown = ({"partner": {"system": "crm", "id": it}} for it in "12")
    known |= {"external_id": {"system": "crm", "id": "8"}}

    assert checked(CONTACTS, known, unknown) == [(2, "/partner")]


def test_what_needs_two_people_is_not_begun_by_one() -> None:
    row = {"terms_version": "2019-1"}

    assert checked(PARTNERS, row, has_approver=False) == [(1, "/terms_version")]
    assert checked(PARTNERS, row) == []


TERRITORY = {
    "code": "north",
    "name": "north",
    "rule": {"geographies": ["DE-SH"]},
    "assignments": [
        {"partner": {"system": "crm", "id": "1"}, "role": "exclusive"},
        {"partner": {"system": "crm", "id": "2"}, "role": "overlay"},
    ],
}


def test_a_territory_is_known_by_its_code_and_each_of_its_partners_is_looked_up() -> None:
    rows = [TERRITORY, {**TERRITORY, "assignments": []}]

    assert checked(TERRITORIES, *rows) == [(1, "/assignments/1/partner"), (2, "/code")]
    assert checked(TERRITORIES, {"code": "south"}, has_approver=False) == [(1, "/code")]


def test_a_territory_becomes_an_alignment_that_a_second_person_approves_as_it_was_read() -> None:
    row = {**ROW.document, **TERRITORY}

    first = TERRITORIES.first(row, TERRITORIES.body(row), ["id-1", "id-2"])
    steps = TERRITORIES.then(row, "a-1")

    [change] = first.body["changes"]
    works = [(it["partner_id"], it["role"]) for it in change["definition"]["assignments"]]
    assert works == [("id-1", "exclusive"), ("id-2", "overlay")]
    assert [it.path.rpartition("/")[2] for it in steps] == ["validate", "approve", "activate"]
    assert [bool(it.asked_by) for it in steps] == [it.sees for it in steps] == [False, True, False]
    assert {it.occurred_at for it in (first, *steps)} == {ROW.document["occurred_at"]}


def test_a_territory_that_says_something_else_today_is_drafted_anew() -> None:
    rows = [{**ROW.document, **TERRITORY, "name": name} for name in ("north", "nord", "north")]

    keys = [
        [it.step for it in (TERRITORIES.first(row, row, ["a", "b"]), *TERRITORIES.then(row, "x"))]
        for row in rows
    ]

    assert keys[0] == keys[2]
    assert not set(keys[0]) & set(keys[1])


@pytest.mark.parametrize(
    ("approved_at", "wrong"),
    [("2019-03-01T09:00:00+01:00", [(1, "/approved_at")]), ("2019-03-01T08:30:00z", [])],
)
def test_nobody_is_approved_before_they_apply(
    approved_at: str, wrong: list[tuple[int, str]]
) -> None:
    assert checked(PARTNERS, {"terms_version": "1", "approved_at": approved_at}) == wrong


class Asked:
    """A service that answers as told, one answer a request; and how long was waited for it."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers, self.keys, self.rested = list(answers), list[str](), list[float]()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        assert request.headers["Prm-Occurred-At"] == TOLD.occurred_at
        self.keys.append(request.headers["Idempotency-Key"])
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def told(self) -> dict[str, Any] | list[RowError]:
        http = httpx2.Client(transport=httpx2.MockTransport(self))
        with http:
            told = Sending(Somebody(), http, PARTNERS, self.rested.append)
            return told.told(ROW, TOLD, "Import")


class Somebody(Client):
    """`behind`: what a service says of itself, one after the other."""

    def __init__(self, *behind: int) -> None:
        super().__init__(State(urls={"partner-svc": "http://partner.example"}))
        self.behind = list(behind)

    def state_of(self, service: str) -> dict[str, Any]:
        assert service == "partner-svc"
        return {"head": 7, "published": 7, "lag": self.behind.pop(0)}

    def token(self, role: str, partner: str | None = None, person: str | None = None) -> str:
        return f"{role} {partner} {person}"


def test_a_busy_service_is_given_the_time_that_it_asks_for() -> None:
    asked = Asked(
        httpx2.Response(429, headers={"Retry-After": "3"}),
        httpx2.Response(503, headers={"Retry-After": "7"}),
        httpx2.ConnectError("away"),
        httpx2.Response(201, json={"id": "x"}),
    )

    assert asked.told() == {"id": "x"}
    assert asked.rested == [3.0, 7.0, 1]
    assert len(set(asked.keys)) == 1


def test_a_service_that_stays_away_ends_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENCE", 0.0)

    with pytest.raises(OpsError, match="prm doctor"):
        Asked().told()


def test_what_may_be_found_otherwise_today_is_asked_anew_each_time() -> None:
    anew = replace(TOLD, over_if="urn:problem:over")

    keys = [[sending.key_of(PARTNERS, ROW, it) for _ in range(2)] for it in (TOLD, anew)]

    assert [len(set(each)) for each in keys] == [1, 2]


def test_an_import_that_is_ended_waits_for_nobody() -> None:
    asked = Asked(*[httpx2.Response(503)] * 2)
    with httpx2.Client(transport=httpx2.MockTransport(asked)) as http:
        told = Sending(Somebody(), http, PARTNERS, lambda _: told.close())

        with pytest.raises(OpsError):
            told.told(ROW, TOLD, "Import")

    assert len(asked.answers) == 1


def test_a_service_that_reads_on_is_waited_for_and_one_that_stands_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "READ_WITHIN", -1.0)
    reads_on, stands = Somebody(9, 7, 3, 0, 5), Somebody(9, 7, 7, 0)
    unknown = Somebody(-1, 0)

    with httpx2.Client() as http:
        Sending(reads_on, http, PARTNERS, lambda _: None).wait_until_read("partner-svc")
        with pytest.raises(OpsError, match="gets no further"):
            Sending(stands, http, PARTNERS, lambda _: None).wait_until_read("partner-svc")
        with pytest.raises(OpsError, match="gets no further"):
            Sending(unknown, http, PARTNERS, lambda _: None).wait_until_read("partner-svc")

    assert (reads_on.behind, stands.behind, unknown.behind) == ([5], [0], [0])


@pytest.mark.parametrize(
    ("problem", "at"),
    [
        ({"errors": [{"field": "/body/domains/0", "message": "no"}]}, "/domains/0"),
        ({"errors": [{"field": "/header/prm-occurred-at", "message": "no"}]}, "/occurred_at"),
        ({"type": "urn:problem:original-time-out-of-range"}, "/occurred_at"),
        ({"field": "country", "value": "XX"}, "/country"),
        ({"scope": "domain"}, ""),
    ],
)
def test_a_refusal_names_the_column(problem: dict[str, Any], at: str) -> None:
    standard = {"type": "urn:problem:some", "title": "Some rule.", "status": 422}

    told = Asked(httpx2.Response(422, json=standard | {"correlation_id": "c"} | problem)).told()

    assert isinstance(told, list)
    assert [(each.line, each.pointer) for each in told] == [(3, at)]


def test_a_refusal_names_the_column_of_what_lies_within_the_body() -> None:
    told = replace(TOLD, within="/changes/0/definition")
    answer = {"type": "urn:problem:invalid", "errors": [{"field": WITHIN, "message": "no"}]}

    [wrong] = sending.refused(ROW, told, httpx2.Response(422, json=answer))

    assert wrong.pointer == "/rule/geographies/0"


def test_a_refusal_that_is_no_problem_document_is_told_as_it_came() -> None:
    assert Asked(httpx2.Response(502, text="bad gateway")).told() == [
        RowError(3, "", "502 bad gateway")
    ]


def test_progress_tells_rate_and_time_left() -> None:
    told = progress(Count(90, 100, 10), 1200, 10.0)

    assert told == "200 of 1,200 rows, 10 refused, 10/s, 100 s left"
    assert progress(Count(0, 5, 0), 10, 5.0) == "5 of 10 rows, 0 refused, 0/s"
