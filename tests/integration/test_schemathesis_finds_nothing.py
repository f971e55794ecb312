"""schemathesis asks every operation of every service whatever its description lets it think of.

A small slice, always the same, is part of every run. `make fuzz` is the whole of it: all phases,
more examples, another seed each time.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.registry import SERVICES

from .operations import asking
from .story import Story

HERE = Path(__file__).parents[1] / "fuzz"
EXAMPLES = os.environ.get("PRM_FUZZ_EXAMPLES", "")
SLICE = ["--max-examples=3", "--phases=fuzzing,stateful", "--seed=1"]
ALL = [f"--max-examples={EXAMPLES}", "--phases=examples,coverage,fuzzing,stateful"]


@pytest.fixture(scope="module")
def tokens(story: Story) -> str:
    return json.dumps(asking(story, story.partners(1)[0].id).tokens)


@pytest.fixture(autouse=True, scope="module")
def what_was_taken_is_handled(story: Story) -> Iterator[None]:
    """All that was accepted had its effect everywhere: no fact of it is parked or dead.

    It may find a dead letter of another story, and discard it.
    """
    story.settled()
    before = unhandled(story)
    yield
    story.settled()
    after = unhandled(story)
    assert all(after[name] <= before[name] for name in after), (before, after)
    assert all(story.platform.client.state_of(each.name)["ready"] for each in SERVICES)


def unhandled(story: Story) -> dict[str, int]:
    states = {each.name: story.platform.client.state_of(each.name) for each in SERVICES}
    return {name: it["parked"] + it["dead"] for name, it in states.items()}


@pytest.mark.timeout(3600)  # of `make fuzz`
@pytest.mark.parametrize("service", [service.name for service in SERVICES])
def test_no_request_finds_a_fault_or_an_answer_that_is_not_described(
    story: Story, tokens: str, service: str, tmp_path: Path
) -> None:
    """In a directory of its own: what schemathesis remembers there makes the next run another."""
    st = [
        str(Path(sys.executable).with_name("st")),
        "--no-color",
        f"--config-file={HERE / 'schemathesis.toml'}",
    ]
    url = f"{story.platform.url(service)}/openapi.json"
    environment = os.environ | {"PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "hooks"}
    environment |= {"PRM_FUZZ_TOKENS": tokens}

    done = subprocess.run(
        [*st, "run", url, "--continue-on-failure", *(ALL if EXAMPLES else SLICE)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    print(done.stdout[-2000:])  # noqa: T201 - how many examples, and the seed
    assert done.returncode == 0, done.stdout + done.stderr
