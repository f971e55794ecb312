"""The demo's story and its market, small: each verdict as planned, twice on one platform."""

from ops.demo.market import Market
from ops.demo.story import Story as Demo
from ops.platform import Platform


def test_the_demo_ends_with_every_verdict_as_expected_and_can_be_told_again(
    platform: Platform,
) -> None:
    said: list[str] = []

    for _ in range(2):
        Demo(platform.client, list(platform.services), small_market, said.append).play()

    ends = [line for line in said if "each verdict as expected" in line]
    assert len(ends) == 2


def small_market(number: int) -> Market:
    return Market(number, partners=20, territories=30, deals=34)
