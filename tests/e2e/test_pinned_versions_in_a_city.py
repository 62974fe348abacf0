"""Pinned grants with all that surrounds them: delegation, commands, replay, erasure, higher grades and the end of a dataset."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.demo.city import City, hand_in
from api.demo.participants import AUDIT, EDUCATION, HEALTH
from api.sdk.acts import ActDraft
from api.sdk.drafting import deadline_in, new_salt
from api.sdk.drafts import draft_retirement, draft_version, source_of
from api.sdk.errors import ServiceProblem
from ledger.ids import parse_asset
from tests.e2e.test_the_keepers_of_the_log import civic
from tests.simulators.city import take_version
from tests.simulators.pinned_city import (
    AIR,
    POLICY,
    delegate,
    drafted,
    gone,
    granted,
    marked,
    owner_of,
    path_of,
    read,
    record,
    refusal,
    renew,
    revoke,
    rounds,
    seen,
)


def wider(city: City, drawn: ActDraft) -> list[str]:
    health = city.of(HEALTH)
    with pytest.raises(ServiceProblem) as refused:
        hand_in(city, health, drawn, [health.secrets["steward"]])
    assert refused.value.code == "terms.wider-than-parent"
    return [one["code"] for one in refused.value.document["wider"]]


def test_delegated_grant_may_pin_and_reads_no_other_version(pinned_town: City) -> None:
    first = renew(pinned_town, "a")
    keeper = drafted(pinned_town, HEALTH, first)
    record(pinned_town, owner_of(pinned_town), HEALTH, keeper, "steward")
    second = renew(pinned_town, "b")
    pinned, open_ = drafted(pinned_town, HEALTH, second), drafted(pinned_town, HEALTH, None)
    for one in (pinned, open_):
        record(pinned_town, owner_of(pinned_town), HEALTH, one, "steward")
    # No pin below a pin, another pin below a pin, and an earlier version below a grant that reads the current
    # one.
    assert wider(pinned_town, delegate(pinned_town, pinned, EDUCATION, None)) == ["version.mismatch"]
    assert wider(pinned_town, delegate(pinned_town, pinned, EDUCATION, first)) == ["version.mismatch"]
    assert wider(pinned_town, delegate(pinned_town, open_, EDUCATION, first)) == ["version.mismatch"]
    health = pinned_town.of(HEALTH)
    lasting = record(
        pinned_town, health, EDUCATION, delegate(pinned_town, pinned, EDUCATION, second), "steward"
    )
    ending = record(
        pinned_town, health, EDUCATION, delegate(pinned_town, open_, EDUCATION, second), "steward"
    )
    assert {seen(read(pinned_town, EDUCATION, one))[0] for one in (lasting, ending)} == {second}
    third = renew(pinned_town, "c")
    assert seen(read(pinned_town, EDUCATION, lasting)) == (second, {"b"})
    problem = refusal(pinned_town, EDUCATION, ending)
    assert problem.code == "version.mismatch"
    assert problem.document["reasons"][0]["ancestor"] == open_.id
    assert seen(read(pinned_town, HEALTH, open_.id)) == (third, {"c"})
    for one in (keeper.id, open_.id):
        revoke(pinned_town, one)
    rounds(pinned_town)
    assert path_of(pinned_town, "b").is_file()  # The delegated grant reads it.
    revoke(pinned_town, pinned.id)
    assert refusal(pinned_town, EDUCATION, lasting).code == "grant.ancestor-revoked"
    gone(pinned_town, second)


def run(city: City, *arguments: object, language: str = "en") -> tuple[dict[str, Any], str]:
    """The answer of a command of the owner, and its standard error."""
    environment = {
        "CIVIC_PROFILE": str(owner_of(city).directory),
        "CIVIC_URL": city.service.url,
        "CIVIC_PASSPHRASE": "open-demo",
        "CIVIC_LANG": language,
    }
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_the_commands_pin_show_and_read_a_version_in_both_languages(
    pinned_town: City, tmp_path: Path
) -> None:
    version = renew(pinned_town, "d")
    wish = ("--to", EDUCATION.number, "--columns", "district", "--purpose", POLICY, "--until", "P30D")
    for language, words in (
        ("en", ("version that is read, also when there is a newer one: version {}",)),
        ("zh", ("所读版本（有新版本时亦不变）：第 {} 版", "所读版本")),
    ):
        act = tmp_path / f"{language}.json"
        given = ("grant", AIR, *wish, "--version", version, "--key", "steward", "--yes", "--save", act)
        made, said = run(pinned_town, *given, language=language)
        assert {"leftOperand": "version", "operator": "eq", "rightOperand": version} in made["agreement"][
            "permission"
        ][0]["constraint"]
        assert any(one.format(version) in said for one in words), said
    refused, _ = run(pinned_town, "grant", AIR, *wish, "--version", version + 1, "--key", "steward", "--yes")
    assert refused["error"]["code"] == "terms.version-unknown"
    pinned = granted(pinned_town, HEALTH, version)
    file = marked(pinned_town, "e")
    made, said = run(pinned_town, "dataset", "update", AIR, file, "--key", "steward", "--yes", language="zh")
    assert pinned in {one["grant"] for one in made["changes"]["pinned"]}
    assert "继续读取先前版本" in said
    assert f"继续读取第 {version} 版" in said
    shown, _ = run(pinned_town, "dataset", "show", AIR, "--version", version)
    assert (shown["version"], shown["current"], shown["readable"]) == (version, version + 1, True)
    other, _ = run(pinned_town, "dataset", "show", AIR, "--version", version + 7)
    assert other["error"]["code"] == "not-found.version"
    assert seen(read(pinned_town, HEALTH, pinned)) == (version, {"d"})
    revoke(pinned_town, pinned)


def test_decisions_with_a_pin_are_replayed_with_the_same_result(pinned_town: City, tmp_path: Path) -> None:
    version = renew(pinned_town, "f")
    pinned = granted(pinned_town, HEALTH, version)
    renew(pinned_town, "g")
    read(pinned_town, HEALTH, pinned)
    read(pinned_town, HEALTH, pinned, version=version)
    refusal(pinned_town, HEALTH, pinned, version=version + 1)
    auditor = pinned_town.of(AUDIT).civic
    entries: list[dict[str, Any]] = []
    for item in auditor.entries(type="gateway:read:decided"):
        if item["entry"].get("candidates") == [pinned]:
            entries.append({"entry": item["entry"], "disclosures": auditor.openings(item["index"])})
    known = auditor.grant(pinned)
    grants = {pinned: {"terms": known["terms"], "agreement": known["agreement"]}}
    file = tmp_path / "record.json"
    file.write_text(json.dumps({"entries": entries, "grants": grants}))
    found = civic("policy", "replay", file)
    assert (found["same"], found["different"]) == (3, 0)
    forged = [one for one in entries if one["entry"]["decision"] == "permit"]
    for one in forged:
        one["entry"]["facts"]["version"] = version + 1
    file.write_text(json.dumps({"entries": forged, "grants": grants}))
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "policy", "replay", str(file), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout.splitlines()[-1])["different"] == 2
    revoke(pinned_town, pinned)


def test_a_person_of_an_earlier_version_is_erased_under_the_key_that_the_version_had(city: City) -> None:
    """The key was a number in an earlier version: the reads of that version are stored under the number, for
    every spelling."""
    owner, file = owner_of(city), marked(city, "j")
    known = owner.civic.dataset(AIR)
    schema = dict(known["metadata"]["schema"]) | {"personKey": "pm25"}
    metadata = dict(known["metadata"]) | {"source": source_of(file), "schema": schema}
    take_version(city, owner, draft_version(AIR, known["version"] + 1, metadata), file)
    version = int(known["version"]) + 1
    pinned = granted(city, HEALTH, version)
    fields = [one | {"type": "string"} if one["name"] == "pm25" else one for one in schema["fields"]]
    newer = marked(city, "k")
    metadata |= {"source": source_of(newer), "schema": schema | {"fields": fields}}
    take_version(city, owner, draft_version(AIR, version + 1, metadata), newer)
    query = {"columns": ["district"], "where": {"column": "pm25", "op": "eq", "value": 41.5}}
    asked = read(city, HEALTH, pinned, query=query).receipt.index
    assert "decision" in city.of(AUDIT).civic.openings(asked)
    named = city.of(AUDIT).civic.readers(AIR, "41.50")["named"]
    assert asked in {one["index"] for one in named}
    city.service.stop()
    gave = ("--asset", AIR, "--subject", "41.50", "--officer", "0x" + "11" * 20)
    assert civic("audit", "erase", "--home", city.home, *gave)["erased"] > 0


@pytest.mark.drill
def test_higher_grade_ends_no_pinned_grant_and_retirement_ends_all(
    pinned_town: City,
) -> None:
    version = renew(pinned_town, "h")
    pinned, open_ = granted(pinned_town, HEALTH, version), granted(pinned_town, HEALTH, None)
    renew(pinned_town, "i")
    owner = owner_of(pinned_town)
    higher = {"class": 2, "sharing": 1, "deadline": deadline_in(), "salt": new_salt()}
    hand_in(
        pinned_town,
        owner,
        ActDraft("Reclassify", {"asset": parse_asset(AIR), **higher}),
        [owner.secrets["steward"]],
    )
    assert owner.civic.dataset(AIR)["grade"] == "important"
    assert [seen(read(pinned_town, HEALTH, one))[0] for one in (pinned, open_)] == [version, version + 1]
    hand_in(pinned_town, owner, draft_retirement(AIR), [owner.secrets["steward"], owner.secrets["cdo"]])
    for one in (pinned, open_):
        assert refusal(pinned_town, HEALTH, one).code in ("asset.retired", "grant.asset-retired")
