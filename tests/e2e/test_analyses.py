"""Analyses of terms need no key: a caller who asks for many does not block the rest of the service."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from access_policy.terms.templates import agreement
from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import PLANNING
from tests.simulators.city import open_city

ASKED = 48
"""More than the threads for public calls."""


@pytest.fixture(scope="module")
def asked_city(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    home = Path(shutil.copytree(founded, tmp_path_factory.mktemp("analyses") / "city"))
    opened = open_city(home, CIVIC_ANALYSES="2")
    yield opened
    opened.service.stop()


def costly() -> dict[str, Any]:
    """Terms with the maximum number of rules: an analysis of some seconds."""
    made = agreement(
        "urn:civic:dept:6", "urn:civic:dept:2", "urn:civic:asset:6.1", columns=("a",), purposes=(AIR_POLICY,)
    )
    (rule,) = made["permission"]

    def with_columns(number: int) -> dict[str, Any]:
        column = {"leftOperand": "columns", "operator": "isAnyOf", "rightOperand": [f"c{number}"]}
        return {**rule, "target": {**rule["target"], "refinement": [column]}}

    made["permission"] = [with_columns(number) for number in range(128)]
    made["prohibition"] = [{**with_columns(number), "action": ["read"]} for number in range(128)]
    return made


def test_waiting_analyses_do_not_block_other_calls(asked_city: City) -> None:
    terms, url = costly(), asked_city.service.url
    bodies = {
        "/v1/policy/check": {"agreements": {"one": terms, "other": terms}},
        "/v1/policy/diff": {"old": terms, "new": costly() | {"conflict": "prohibit"}},
    }

    def ask(number: int) -> httpx.Response:
        target = sorted(bodies)[number % 2]
        return httpx.post(url + target, json=bodies[target], trust_env=False, timeout=300)

    with ThreadPoolExecutor(ASKED) as pool:
        asked = [pool.submit(ask, number) for number in range(ASKED)]
        read = asked_city.of(PLANNING).civic.read("6.1", AIR_POLICY, {"limit": 1})
        assert len(json.loads(read.body)) == 1
        waiting = sum(not one.done() for one in asked)
        answers = [one.result() for one in asked]
    assert waiting, "the read did not wait for them"
    assert {answer.status_code for answer in answers} == {200, 503}
    for answer in answers:
        if answer.status_code == 503:
            assert (answer.json()["code"], answer.headers["retry-after"]) == ("service.busy", "2")


def test_waiting_analysis_runs_when_a_place_is_free(asked_city: City) -> None:
    for target in (f"who-can?asset=6.1&purpose={AIR_POLICY}", f"what-can?department={PLANNING.number}"):
        answer = httpx.get(f"{asked_city.service.url}/v1/policy/{target}", trust_env=False)
        assert answer.status_code == 200
    refused = httpx.post(
        f"{asked_city.service.url}/v1/policy/check",
        json={"agreements": {"a": {"@type": "Offer"}}},
        trust_env=False,
    )
    assert refused.json()["code"] == "terms.invalid"
