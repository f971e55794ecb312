"""Partners register for the same customer at the same moment: exactly one is ahead."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Barrier

from .story import AUTOMATIC, Partner, Story


def race(story: Story, runners: list[tuple[Partner, dict[str, object]]]) -> list[str]:
    """The ids of the deals, in the order of the runners; all start at once."""
    start = Barrier(len(runners))

    def run(runner: tuple[Partner, dict[str, object]]) -> str:
        partner, customer = runner
        body = story.deal(customer, AUTOMATIC)
        start.wait(10)
        return partner.seller.does("deals", body).id

    with ThreadPoolExecutor(len(runners)) as pool:
        return list(pool.map(run, runners))


def test_of_two_partners_one_is_ahead_and_the_other_waits(story: Story) -> None:
    alpha, borealis = story.partners(2)

    races = [race(story, [(alpha, one), (borealis, one)]) for one in customers(story, 10)]

    story.settled()
    for deals in races:
        assert sorted(map(story.status, deals)) == ["approved", "queued"]


def test_twenty_at_once_for_four_customers_make_four_lines_with_one_head_each(story: Story) -> None:
    partners, wanted = story.partners(5), customers(story, 4)
    runners = [(partner, customer) for customer, partner in product(wanted, partners)]

    deals = race(story, runners)

    story.settled()
    for place in range(0, 20, 5):
        line = deals[place : place + 5]
        claims = [it for it in story.line_of(line[0]) if it.name == "ExclusivityClaimed"]
        in_order = [claim.fact["deal_id"] for claim in claims]
        assert sorted(in_order) == sorted(line)
        assert [story.status(deal) for deal in in_order] == ["approved", *["queued"] * 4]
        granted = [it for it in story.line_of(line[0]) if it.name == "ExclusivityGranted"]
        assert [it.fact["deal_id"] for it in granted] == in_order[:1]
        queued = [story.fact("prm.deals", deal, "DealQueued") for deal in in_order[1:]]
        assert [it.fact["place"] for it in queued] == [2, 3, 4, 5]


def test_all_who_name_a_new_customer_at_once_name_the_same_one(story: Story) -> None:
    partners, customer = story.partners(5), story.customer()

    deals = race(story, [(partner, customer) for partner in partners])

    named = [story.fact("prm.deals", it, "DealRegistered").fact["customer"] for it in deals]
    assert len({it["customer_id"] for it in named}) == 1
    resolved = story.topics.facts("prm.customers", named[0]["customer_id"])
    assert [it.name for it in resolved].count("CustomerResolved") == 1


def test_nobody_sees_whom_it_races_with(story: Story) -> None:
    alpha, borealis = story.partners(2)

    first, second = race(story, [(alpha, one := story.customer()), (borealis, one)])

    story.settled()
    for partner, own, other in ((alpha, first, borealis), (borealis, second, alpha)):
        seen = partner.seller.ask(f"deals/{own}").text + partner.seller.ask("deals").text
        seen += partner.seller.ask("notifications").text
        seen += partner.seller.ask(f"deals/{own}/receipt").text
        assert own in seen
        assert other.id not in seen
        assert (second if own == first else first) not in seen


def customers(story: Story, count: int) -> list[dict[str, object]]:
    return [story.customer() for _ in range(count)]
