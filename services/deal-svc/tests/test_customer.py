"""Who is meant: hard keys, then the name, then how alike the names are."""

from uuid import UUID

import pytest

from deal_svc.domain.customer import Customer, KeyScope, alike, resolve, unique_keys
from deal_svc.domain.customer_keys import NamedCustomer, Profile
from deal_svc.domain.matching import company_domain, normalise, points
from prm_contracts.customers import CustomerKeysAdded, CustomerResolved

from .cast import CUSTOMER, HOFFMANN

OTHER, THIRD = UUID(int=61), UUID(int=62)
KNOWN = Profile(CUSTOMER, names=frozenset({"hoffmann logistik"}))
NO_HOLDERS: dict[KeyScope, UUID | None] = {"name": None}


def named(name: str = "Hoffmann Logistik GmbH", **keys: str) -> NamedCustomer:
    return NamedCustomer.model_validate({"name": name, "country": "DE"} | keys)


@pytest.mark.parametrize(
    ("name", "normalised"),
    [
        ("Hoffmann Logistik GmbH", "hoffmann logistik"),
        ("  HOFFMANN-LOGISTIK  gmbh".strip(), "hoffmann logistik"),
        ("Müller & Söhne GmbH & Co. KG", "muller and sohne"),
        ("Société Générale S.A.", "societe generale"),
        ("Daddy & Sons, Ltd.", "daddy and sons"),
        ("GmbH", "gmbh"),
        ("!!!", "!!!"),
        ("株式会社", "株式会社"),
    ],
)
def test_a_name_is_compared_without_legal_form_case_and_accents(name: str, normalised: str) -> None:
    assert normalise(name) == normalised


def test_a_normalised_name_stays_within_its_limit() -> None:
    assert len(normalise("ﷺ " * 100)) <= 200  # one sign that unfolds to eighteen


def test_a_public_mail_domain_tells_nothing() -> None:
    assert company_domain("gmail.com") is None
    assert company_domain(None) is None
    assert company_domain("www.hoffmann.example") == "hoffmann.example"


def test_unique_keys_are_by_country_where_they_are() -> None:
    customer = named(tax_id="DE123", duns="123456789", domain="hoffmann.example")

    assert unique_keys(customer) == {
        "tax-id": ("DE", "DE123"),
        "duns": ("123456789",),
        "domain": ("hoffmann.example",),
        "name": ("DE", "hoffmann logistik"),
    }


def test_the_hardest_key_finds_the_customer() -> None:
    others = [KNOWN, Profile(OTHER, frozenset({"kaiser bau"}), tax_ids=frozenset({"DE123"}))]

    found = resolve(named(tax_id="DE123"), {"tax-id": OTHER, "name": CUSTOMER}, others)

    assert (found.customer_id, found.band) == (OTHER, "exact")
    assert [like.customer_id for like in found.similar] == [CUSTOMER]


def test_an_equal_name_finds_the_customer() -> None:
    found = resolve(named("HOFFMANN LOGISTIK"), {"name": CUSTOMER}, [KNOWN])

    assert (found.customer_id, found.band, found.similar) == (CUSTOMER, "exact", ())


@pytest.mark.parametrize("key", ["tax_id", "duns"])
def test_an_equal_name_with_another_hard_key_is_another_customer_to_be_looked_at(key: str) -> None:
    known = Profile(
        CUSTOMER,
        names=frozenset({"hoffmann logistik"}),
        tax_ids=frozenset({"DE999"}),
        duns=frozenset({"999999999"}),
    )
    told = {"tax_id": "DE123"} if key == "tax_id" else {"duns": "123456789"}

    found = resolve(named(**told), {"name": CUSTOMER}, [known])

    assert (found.customer_id, found.band) == (None, "possible")
    assert found.similar[0].points == 929


def test_a_name_alike_from_t1_on_is_the_same_customer() -> None:
    found = resolve(named("Hoffman Logistik"), NO_HOLDERS, [KNOWN])

    assert (found.customer_id, found.band, found.similar) == (CUSTOMER, "strong", ())


def test_a_name_alike_from_t2_on_is_a_possible_one() -> None:
    found = resolve(named("Hofmann Logistics"), NO_HOLDERS, [KNOWN])

    assert (found.customer_id, found.band) == (None, "possible")
    assert found.similar[0].evidence == {"name-words": 882, "name-letters": 945}


def test_nobody_alike_is_a_new_customer() -> None:
    found = resolve(named("Kaiser Bau"), NO_HOLDERS, [KNOWN])

    assert (found.customer_id, found.band, found.similar) == (None, "none", ())


def test_the_most_alike_comes_first_and_ten_are_listed() -> None:
    crowd = [Profile(UUID(int=100 + n), frozenset({"hofmann logistics"})) for n in range(12)]

    found = alike(named("Hoffmann Logistik"), [*crowd, KNOWN])

    assert (len(found), found[0].customer_id) == (10, CUSTOMER)


def test_words_in_another_order_are_the_same_name() -> None:
    assert points(named(), "logistik hoffmann", KNOWN)[0] >= 930


def test_names_that_differ_in_a_number_name_different_things() -> None:
    depot = Profile(CUSTOMER, frozenset({"depot 12"}))

    assert points(named("Depot 13"), "depot 13", depot)[0] < 800


def test_place_and_domain_count_where_both_are_told() -> None:
    known = Profile(
        CUSTOMER,
        names=frozenset({"hoffmann logistik"}),
        domains=frozenset({"hoffmann-logistik.example"}),
        postal_codes=frozenset({"80331"}),
    )
    near = named("Hofmann Logistics", domain="hofmann-logistics.example", postal_code="80331")
    far = named("Hofmann Logistics", domain="kaiser.example", postal_code="10115")

    scores = [points(each, "hofmann logistics", known) for each in (near, far)]

    assert set(scores[0][1]) == {"name-words", "name-letters", "postal-code", "domain"}
    assert scores[0][0] > 900 > scores[1][0]


def test_a_new_customer_is_resolved_without_public_domains() -> None:
    customer = Customer(CUSTOMER)

    customer.resolve(named(domain="gmail.com", tax_id="DE123"))

    assert customer.pending == [
        CustomerResolved(
            name="Hoffmann Logistik GmbH",
            normalised_name="hoffmann logistik",
            normaliser_version="normaliser-1",
            country="DE",
            tax_id="DE123",
        )
    ]


def test_a_known_customer_keeps_what_was_not_known_yet() -> None:
    customer = Customer(CUSTOMER)
    customer.resolve(named(tax_id="DE123"))
    customer.pending.clear()

    customer.add_keys(named("Hoffman Logistik", tax_id="DE123", duns="123456789"))

    assert customer.pending == [
        CustomerKeysAdded(normalised_name="hoffman logistik", duns="123456789")
    ]


def test_a_known_customer_named_as_before_records_nothing() -> None:
    customer = Customer(CUSTOMER)
    customer.resolve(HOFFMANN)
    customer.pending.clear()

    customer.add_keys(HOFFMANN)

    assert customer.pending == []
