"""What other systems know is loaded with its own times: checked, killed, gone on, repeated."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from click.testing import CliRunner

from ops.main import cli

from .story import Story, eventually, random_word

PRM = str(Path(sys.executable).with_name("prm"))
MANY = 80
THEN, LATER = "2019-03-01T08:30:00+00:00", "2019-04-01T00:00:00+00:00"


class Imports:
    """`prm import` as its operator runs it, and rows with ids of one system that nobody has."""

    def __init__(self, story: Story, folder: Path) -> None:
        self.story, self.folder = story, folder
        self.system = f"crm-{random_word().lower()}"

    def id(self, number: int | str) -> dict[str, str]:
        return {"system": self.system, "id": str(number)}

    def partner(self, number: int, **how: Any) -> dict[str, Any]:
        name = f"{self.system} {random_word()} {number}"
        row = {"external_id": self.id(number), "occurred_at": THEN, **self.story.profile(name)}
        return row | {"terms_version": "2019-1", "approved_at": LATER} | how

    def contact(self, number: int, **how: Any) -> dict[str, Any]:
        """Of the partner with that number."""
        row = {"external_id": self.id(f"c{number}"), "occurred_at": THEN, "accepted_at": LATER}
        row |= {"side": "partner", "partner": self.id(number), "name": "Ada", "language": "en"}
        email = f"{random_word().lower()}@imported.example"
        return row | {"email": email, "roles": ["partner-seller"]} | how

    def territory(self, name: str, number: int, *geographies: str) -> dict[str, Any]:
        """Of the partner with that number alone, for a family that nobody else sells."""
        rule = {"geographies": geographies, "families": [self.system]}
        works = [{"partner": self.id(number), "role": "exclusive"}]
        code = f"{self.system}-{name}"
        return {"code": code, "name": name, "occurred_at": THEN, "rule": rule, "assignments": works}

    def file(self, name: str, *rows: dict[str, Any] | str) -> Path:
        path = self.folder / name
        texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("".join(text + "\n" for text in texts))
        return path

    def asked(self, kind: str, file: Path, *options: str) -> tuple[list[str], dict[str, str]]:
        """Arguments and environment of `prm`: the same two people each time."""
        who = ("--as", f"{self.system} loads", "--approver", f"{self.system} approves")
        home = str(self.story.platform.home)
        return ["import", kind, str(file), *who, *options], {"PRM_HOME": home}

    def killed(self, kind: str, file: Path) -> None:
        """Once a row is done."""
        arguments, environment = self.asked(kind, file)
        with subprocess.Popen(
            [PRM, *arguments], env=os.environ | environment, stdout=subprocess.DEVNULL
        ) as importing:
            eventually(lambda: lines_written(file) > 0, what="a row done")
            importing.kill()

    def done(self, kind: str, file: Path, *options: str) -> tuple[int, str]:
        """Exit code and what was said last."""
        arguments, environment = self.asked(kind, file, *options)
        result = CliRunner(env=environment).invoke(cli, arguments)
        return result.exit_code, result.output.splitlines()[-1]

    def imported(self, collection: str) -> dict[str, dict[str, Any]]:
        """By the system's id."""
        self.story.settled()
        return {
            external["id"]: item
            for item in self.story.operations.lists(collection)
            for external in item["external_ids"]
            if external["system"] == self.system
        }

    def heads(self) -> list[int]:
        """The last positions of those services that are told."""
        self.story.settled()
        services = ("partner-svc", "deal-svc", "territory-svc")
        return [self.story.platform.client.state_of(each)["head"] for each in services]


def lines(file: Path, of: str) -> list[dict[str, Any]]:
    path = file.with_name(f"{file.name}.{of}.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def imports(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Imports:
    return Imports(story, tmp_path_factory.mktemp("imports"))


class GoneOn(NamedTuple):
    """An import that was killed in the middle and begun again: what was done by then, what then."""

    file: Path
    before: int
    outcome: tuple[int, str]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture(scope="module")
def many(imports: Imports) -> GoneOn:
    file = imports.file("many.jsonl", *(imports.partner(number) for number in range(MANY)))
    imports.killed("partners", file)
    before = lines_written(file)
    return GoneOn(file, before, imports.done("partners", file))


def lines_written(file: Path) -> int:
    path = file.with_name(f"{file.name}.done.jsonl")
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_what_was_killed_goes_on_and_all_is_there_once_with_its_own_times(
    imports: Imports, many: GoneOn
) -> None:
    partners = imports.imported("partners")

    assert 0 < many.before < MANY
    done = f"{MANY - many.before} imported, {many.before} were before, 0 refused."
    assert many.outcome == (0, done)
    assert partners.keys() == {str(number) for number in range(MANY)}
    assert {it["status"] for it in partners.values()} == {"active"}
    assert {it["registered_at"] for it in partners.values()} == {THEN}
    assert {it["partner_id"] for it in partners.values()} == {
        it["id"] for it in lines(many.file, "done")
    }


def test_what_occurred_long_ago_was_not_known_then(imports: Imports, many: GoneOn) -> None:
    partner_id = lines(many.file, "done")[0]["id"]

    activated = imports.story.fact("prm.partners", partner_id, "PartnerActivated").headers
    then = imports.story.operations.ask(f"partners/{partner_id}", as_of="2020-01-01T00:00:00Z")

    assert activated["ce_time"] == "2019-04-01T00:00:00.000000Z"
    assert activated["ce_recordedat"] > "2026"
    assert then.status_code == 404


def test_without_its_journal_an_import_is_repeated_to_no_effect(
    imports: Imports, many: GoneOn
) -> None:
    heads = imports.heads()
    again = imports.file("again.jsonl", *many.rows)

    code, said = imports.done("partners", again)

    assert (code, said) == (0, f"{MANY} imported, 0 were before, 0 refused.")
    assert imports.heads() == heads


def test_a_row_that_changed_since_is_refused_with_and_without_the_journal(
    imports: Imports, many: GoneOn
) -> None:
    first, *others = many.rows[:3]
    file = imports.file("changed.jsonl", first, *others)
    imports.done("partners", file)
    imports.file("changed.jsonl", {**first, "country": "AT"}, *others)

    with_it = imports.done("partners", file), lines(file, "errors")
    file.with_name(f"{file.name}.done.jsonl").unlink()
    without = imports.done("partners", file), lines(file, "errors")

    assert with_it[0] == (1, "0 imported, 2 were before, 1 refused.")
    assert without[0] == (1, "2 imported, 0 were before, 1 refused.")
    reused = "urn:problem:idempotency-key-reused"
    told = [(each["line"], each["type"]) for each in with_it[1] + without[1]]
    assert told == [(1, None), (1, reused)]


def test_a_dry_run_says_all_that_is_wrong_and_sends_nothing(imports: Imports, many: GoneOn) -> None:
    file = imports.file(
        "contacts.jsonl",
        imports.contact(0),
        imports.contact(1, email="nobody", roles=["king"], note="?"),
        imports.contact(2, partner=imports.id("none")),
        imports.contact(0),
        "{",
        imports.contact(3, accepted_at="2018-01-01T00:00:00Z"),
    )
    heads = imports.heads()

    code, said = imports.done("contacts", file, "--dry-run")

    assert (code, said) == (1, "1 can be imported, 0 were before, 5 refused.")
    assert [(it["line"], it["pointer"]) for it in sorted_(lines(file, "errors"))] == [
        (2, ""),
        (2, "/email"),
        (2, "/roles/0"),
        (3, "/partner"),
        (4, "/external_id"),
        (5, ""),
        (6, "/accepted_at"),
    ]
    assert imports.heads() == heads
    assert lines(file, "done") == []


def sorted_(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(errors, key=lambda it: (it["line"], it["pointer"]))


def test_contacts_find_their_partners_and_what_is_refused_is_corrected_and_goes_on(
    imports: Imports, many: GoneOn
) -> None:
    rows = [
        imports.contact(0),
        imports.contact(1),
        imports.contact(2, roles=["channel-operations"]),  # of the other side
        imports.contact(3, occurred_at="2999-01-01T00:00:00Z", accepted_at=None),
    ]

    told = imports.done("contacts", imports.file("people.jsonl", *rows))
    errors = lines(imports.folder / "people.jsonl", "errors")
    rows[2] |= {"roles": ["partner-seller"]}
    rows[3] |= {"occurred_at": THEN}
    again = imports.done("contacts", imports.file("people.jsonl", *rows))

    assert told == (1, "2 imported, 0 were before, 2 refused.")
    assert {it["type"] for it in errors} == {
        "urn:problem:role-of-other-side",
        "urn:problem:original-time-out-of-range",
    }
    assert {it["pointer"] for it in errors} == {"", "/occurred_at"}
    assert again == (0, "2 imported, 2 were before, 0 refused.")
    partners, people = imports.imported("partners"), imports.imported("contacts")
    assert {it["invited_at"] for it in people.values()} == {THEN}
    assert not people_told(imports, people["c0"]["contact_id"])
    assert {name: (it["partner_id"], it["status"]) for name, it in people.items()} == {
        "c0": (partners["0"]["partner_id"], "active"),
        "c1": (partners["1"]["partner_id"], "active"),
        "c2": (partners["2"]["partner_id"], "active"),
        "c3": (partners["3"]["partner_id"], "invited"),
    }


def people_told(imports: Imports, contact_id: str) -> list[str]:
    """Templates of what was told to somebody."""
    return [
        str(event.fact["template"])
        for event in imports.story.topics.facts("prm.notifications")
        if event.name == "NotificationQueued" and event.fact["recipient_id"] == contact_id
    ]


def test_products_come_from_a_table_of_csv(imports: Imports) -> None:
    story, sku = imports.story, random_word().lower()
    books = story.operations.lists("price-books")
    [code] = [it["code"] for it in books if story.family in str(it["families"])]
    head = "external_id.system,external_id.id,occurred_at,price_book,sku,name,family,unit"
    file = imports.file(
        "products.csv",
        f"{head},list_price_minor",
        f'{imports.system},p1,{THEN},{code},{sku}-1,"One, year",{story.family},licence,120000',
        f"{imports.system},p2,{THEN},{code},{sku}-2,Two,{story.family},licence,12.5",
        f"{imports.system},p3,{THEN},none,{sku}-3,Three,{story.family},licence,1",
    )

    code_and_said = imports.done("products", file)

    assert code_and_said == (1, "1 imported, 0 were before, 2 refused.")
    assert [(it["line"], it["pointer"]) for it in lines(file, "errors")] == [
        (3, "/list_price_minor"),
        (4, "/price_book"),
    ]
    [(name, product)] = imports.imported("products").items()
    assert (name, product["name"], product["list_price_minor"]) == ("p1", "One, year", 120000)


def test_territories_are_drawn_one_by_one_and_one_that_overlaps_is_corrected_and_goes_on(
    imports: Imports, many: GoneOn
) -> None:
    first = imports.done(
        "territories", imports.file("first.jsonl", imports.territory("de", 0, "DE"))
    )
    rows = [imports.territory("by", 1, "DE-BY"), imports.territory("at", 1, "AT")]

    told = imports.done("territories", imports.file("map.jsonl", *rows))
    [error] = lines(imports.folder / "map.jsonl", "errors")
    rows[0] = imports.territory("by", 1, "FR")
    again = imports.done("territories", imports.file("map.jsonl", *rows))

    assert first == (0, "1 imported, 0 were before, 0 refused.")
    assert told == (1, "1 imported, 0 were before, 1 refused.")
    assert (error["line"], error["type"]) == (1, "urn:problem:alignment-not-validated")
    assert again == (0, "1 imported, 1 were before, 0 refused.")
    partners = imports.imported("partners")
    drawn = {
        it["name"]: (it["rule"]["geographies"], it["assignments"][0]["partner_id"])
        for it in territories(imports)
    }
    assert drawn == {
        "de": (["DE"], partners["0"]["partner_id"]),
        "by": (["FR"], partners["1"]["partner_id"]),
        "at": (["AT"], partners["1"]["partner_id"]),
    }


def test_a_territory_in_whose_way_another_was_goes_on_once_that_is_retired(
    imports: Imports, many: GoneOn
) -> None:
    row, file = imports.territory("pl", 1, "PL"), imports.folder / "later.jsonl"
    imports.done("territories", imports.file("sooner.jsonl", imports.territory("east", 0, "PL")))
    [east] = [it for it in territories(imports) if it["name"] == "east"]
    refused = imports.done("territories", imports.file("later.jsonl", row))

    retire(imports.story, east["territory_id"])
    told = imports.done("territories", file)
    file.with_name("later.jsonl.done.jsonl").unlink(missing_ok=True)
    heads = imports.heads()
    again = imports.done("territories", file), imports.heads()

    assert refused == (1, "0 imported, 0 were before, 1 refused.")
    assert told == (0, "1 imported, 0 were before, 0 refused.")
    assert again == (told, heads)
    drawn = {it["name"]: it["status"] for it in territories(imports)}
    assert (drawn["east"], drawn["pl"]) == ("retired", "active")


def retire(story: Story, territory_id: str) -> None:
    wanted = {"name": "Retired", "changes": [{"territory_id": territory_id}]}
    alignment = story.manager.does("alignments", wanted).id
    validated = story.manager.does(f"alignments/{alignment}/validate").version
    story.operations.does(f"alignments/{alignment}/approve", version=validated)
    story.operations.does(f"alignments/{alignment}/activate")


def test_territories_have_their_own_times_and_are_repeated_to_no_effect(
    imports: Imports, many: GoneOn
) -> None:
    row = imports.territory("no", 0, "NO")
    imports.done("territories", imports.file("north.jsonl", row))
    [drawn] = [it for it in territories(imports) if it["name"] == "no"]
    heads = imports.heads()

    told = imports.done("territories", imports.file("again-north.jsonl", row)), imports.heads()
    other = imports.done("territories", imports.file("other-north.jsonl", {**row, "name": "else"}))

    fact = imports.story.fact("prm.territories", drawn["territory_id"], "TerritoryActivated")
    assert fact.headers["ce_time"] == "2019-03-01T08:30:00.000000Z"
    assert told == ((0, "1 imported, 0 were before, 0 refused."), heads)
    assert other == (1, "0 imported, 0 were before, 1 refused.")
    [error] = lines(imports.folder / "other-north.jsonl", "errors")
    assert error["type"] == "urn:problem:territory-code-taken"
    assert [it for it in territories(imports) if it["name"] in ("no", "else")] == [drawn]


def territories(imports: Imports) -> list[dict[str, Any]]:
    imports.story.settled()
    drawn = imports.story.manager.lists("territories")
    return [it for it in drawn if it["code"].startswith(imports.system)]


def test_a_journal_of_another_platform_is_not_believed(imports: Imports, many: GoneOn) -> None:
    file = imports.file("elsewhere.jsonl", imports.partner(MANY))
    foreign = {"external_id": imports.id(MANY), "id": str(uuid4()), "digest": "0" * 64}
    imports.file("elsewhere.jsonl.done.jsonl", foreign)

    code, said = imports.done("partners", file)

    assert code == 1
    assert "of another platform" in said


@pytest.mark.parametrize("name", ["rows.txt", "twice.csv", "latin.csv"])
def test_a_file_that_cannot_be_read_is_exit_code_2(imports: Imports, name: str) -> None:
    file = imports.folder / name
    file.write_bytes(b"sku,sku\n" if name == "twice.csv" else b"sku\n\xe9\n")

    code, said = imports.done("products", file)

    assert code == 2
    assert name in said
