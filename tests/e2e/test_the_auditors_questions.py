"""An auditor's queries to a running city by command: every filter, pages, proofs; and the keys that are
refused."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from api.demo.city import City
from api.demo.governing import AIR_POLICY, PENSION_CHECK
from api.demo.participants import AUDIT, ELDER_CARE, PLANNING, Part
from api.sdk.errors import ServiceProblem
from tests.simulators.city import open_city


@pytest.fixture(scope="module")
def asked(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A city in which the planning department read twice and was refused once, and elder care read one
    person's row."""
    import shutil

    city = open_city(Path(shutil.copytree(founded, tmp_path_factory.mktemp("asked") / "city")))
    planning, elder = city.of(PLANNING).civic, city.of(ELDER_CARE).civic
    for _ in range(2):
        planning.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    with pytest.raises(ServiceProblem):
        planning.read(city.assets["air_quality"], "dpv:Marketing", {"limit": 1})
    register = city.assets["population_register"]
    [row] = elder.read(register, PENSION_CHECK, {"limit": 1}).rows()
    person = str(row["citizen_id"])
    elder.read(register, PENSION_CHECK, {"where": {"column": "citizen_id", "op": "eq", "value": person}})
    yield city, person
    city.service.stop()


def civic(city: City, part: Part, *arguments: object, code: int = 0) -> dict[str, Any]:
    from api.cli.main import main

    environment = {
        "CIVIC_PROFILE": str(city.of(part).directory),
        "CIVIC_URL": city.service.url,
        "CIVIC_PASSPHRASE": "open-demo",
    }
    with patch.dict(os.environ, environment), redirect_stdout(io.StringIO()) as out:
        assert main([*map(str, arguments), "--json"]) == code, out.getvalue()
    document: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    error: dict[str, Any] = document.get("error", document)
    return error


def entries(city: City, *arguments: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = civic(city, AUDIT, "audit", "search", *arguments)["entries"]
    return found


def test_every_filter_returns_exactly_its_matches(asked: tuple[City, str]) -> None:
    city, _ = asked
    reads = entries(city, "--type", "gateway:read:decided")
    assert len(reads) == 5
    every = {one["index"]: one["entry"] for one in reads}
    key = next(entry["service"] for entry in every.values() if entry["department"] == PLANNING.number)
    grant = city.grants["air-planning"]
    middle = sorted(entry["time"] for entry in every.values())[2]
    for options, fits in (
        (("--department", PLANNING.number), lambda e: e["department"] == PLANNING.number),
        (("--asset", city.assets["air_quality"]), lambda e: e["asset"] == city.assets["air_quality"]),
        (("--grant", grant), lambda e: e.get("grant") == grant),
        (("--actor", key), lambda e: e["service"] == key),
        (("--actor", key, "--since", middle), lambda e: e["service"] == key and e["time"] >= middle),
        (("--purpose", AIR_POLICY), lambda e: e["purpose"] == AIR_POLICY),
        (("--decision", "deny"), lambda e: e["decision"] == "deny"),
        (("--since", middle), lambda e: e["time"] >= middle),
        (("--until", middle), lambda e: e["time"] < middle),
        (("--department", PLANNING.number, "--decision", "deny"),
         lambda e: (e["department"], e["decision"]) == (PLANNING.number, "deny")),
    ):  # fmt: skip
        expected = [index for index, entry in every.items() if fits(entry)]
        found = entries(city, "--type", "gateway:read:decided", *options)
        assert [one["index"] for one in found] == expected, options
        assert 0 < len(expected) < 5, options


def test_search_is_paged_and_each_page_is_logged(asked: tuple[City, str]) -> None:
    city, _ = asked
    whole = [one["index"] for one in entries(city, "--limit", 1000)]
    before = len(entries(city, "--type", "auditor:log:search", "--limit", 1000))
    seen: list[int] = []
    cursor: tuple[object, ...] = ()
    while True:
        answer = civic(city, AUDIT, "audit", "search", "--limit", 7, *cursor)
        seen += [one["index"] for one in answer["entries"]]
        if answer["next"] is None:
            break
        assert len(answer["entries"]) == 7
        cursor = ("--cursor", answer["next"])
    assert seen[: len(whole)] == whole
    assert seen == list(range(len(seen))), "nothing twice, nothing left out, and it ends"
    assert len(entries(city, "--type", "auditor:log:search", "--limit", 1000)) == before + 2


def test_cursor_gives_no_page_without_a_logged_query(asked: tuple[City, str]) -> None:
    city, _ = asked
    answer = civic(city, AUDIT, "audit", "search", "--limit", 1)
    look, bound = answer["next"].split("-")[1:]
    first_read = entries(city, "--type", "gateway:read")[0]["index"]
    forgeries = (first_read, 0, 999_999, f"{look}x", "9" * 40)
    for forged in ("0", "0-0", f"0-{look}", "-", "x-1", *(f"0-{other}-{bound}" for other in forgeries)):
        refused = civic(city, AUDIT, "audit", "search", f"--cursor={forged}", code=1)
        assert refused["code"] == "audit.cursor", forged
    late = civic(city, AUDIT, "audit", "search", "--limit", 1000, "--cursor", f"0-{look}-{bound}")
    assert max(one["index"] for one in late["entries"]) < int(look), "an old look shows nothing newer"


def test_answers_come_with_proofs(asked: tuple[City, str]) -> None:
    city, person = asked
    [hit] = civic(city, AUDIT, "audit", "readers", city.assets["population_register"], person, "--proved")[
        "named"
    ]
    assert person not in json.dumps(hit)
    trust = city.home / "trust.json"
    done = civic(city, AUDIT, "audit", "receipt", "verify", hit["receipt"], "--trust", trust)
    assert (done["verdict"], done["index"], done["entry"]) == ("verified", hit["index"], hit["entry"])
    denied = entries(city, "--decision", "deny", "--proved")
    assert all(Path(one["receipt"]).is_file() for one in denied)


def test_only_city_wide_auditors_ask_about_a_person(asked: tuple[City, str]) -> None:
    city, person = asked
    register = city.assets["population_register"]
    for command in (("readers", register, person), ("search",), ("receipt", "get", 1)):
        refused = civic(city, PLANNING, "audit", *command, code=1)
        assert refused["code"] == "caller.not-auditor", command
    nobody = civic(city, AUDIT, "audit", "readers", register, "nobody")
    assert (nobody["named"], nobody["unknown"]) == ([], [])
    assert len(nobody["could_contain"]) == 1, "the read with a limit and no filter"


def test_numbers_beyond_the_log_are_refused_with_a_code(asked: tuple[City, str]) -> None:
    city, _ = asked
    transport = city.of(AUDIT).civic.transport
    for path, status in (
        (f"/v1/audit/entries/{10**30}/openings", 400),
        (f"/v1/audit/entries/{10**30}/receipt", 400),
        ("/v1/audit/entries/-1/openings", 400),
        (f"/v1/audit/entries/{10**9}/openings", 404),
        (f"/v1/audit/entries/{10**9}/receipt", 404),
        (f"/v1/audit/readers?asset=7.1&subject=x&cursor={10**30}", 400),
    ):
        assert transport.call("GET", path).status == status, path
