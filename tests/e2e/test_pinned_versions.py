"""A grant may pin a version of its dataset: it still reads that version's file after a newer one replaced it."""

from __future__ import annotations

import pytest

from api.demo.city import City
from api.demo.participants import EDUCATION, ELDER_CARE, HEALTH
from api.sdk.drafts import draft_version, sign_act, source_of, submit
from api.sdk.errors import ServiceProblem
from tests.simulators.pinned_city import (
    AIR,
    POLICY,
    QUERY,
    drafted,
    gone,
    granted,
    marked,
    owner_of,
    path_of,
    read,
    refusal,
    refused_act,
    renew,
    revoke,
    rounds,
    seen,
    used,
)


def test_pinned_grant_still_reads_rows_and_schema_of_its_version(pinned_town: City) -> None:
    first = renew(pinned_town, "a")
    pinned, metadata = (
        granted(pinned_town, HEALTH, first),
        owner_of(pinned_town).civic.dataset(AIR)["metadata_hash"],
    )
    assert seen(read(pinned_town, HEALTH, pinned)) == (first, {"a"})
    second = renew(pinned_town, "b", without="pm25", more="note")
    assert second == first + 1
    answer = read(pinned_town, HEALTH, pinned, query={"columns": ["district", "pm25"], "limit": 5})
    assert seen(answer) == (first, {"a"})
    assert {tuple(row) for row in answer.rows()} == {("district", "pm25")}
    # Receipt and release name that version and its metadata.
    assert answer.receipt.event["facts"]["version"] == first
    assert answer.receipt.event["facts"]["metadata"] == answer.release["metadata_hash"] == metadata
    assert owner_of(pinned_town).civic.dataset(AIR)["metadata_hash"] != metadata
    assert seen(read(pinned_town, HEALTH, pinned, version=first))[0] == first
    shown = pinned_town.of(HEALTH).civic.dry_run(AIR, POLICY, QUERY, grant=pinned)
    assert (shown["decision"], shown["version"]) == ("permit", first)


def test_call_for_another_version_is_refused_with_the_available_ones(pinned_town: City) -> None:
    version = renew(pinned_town, "c")
    pinned = granted(pinned_town, HEALTH, version)
    renew(pinned_town, "d")
    problem = refusal(pinned_town, HEALTH, pinned, version=version + 1)
    assert problem.code == "version.mismatch"
    [line] = problem.document["explanation"]["en"]["lines"]
    assert f"version {version + 1}, the current one" in line["text"]
    assert f"version {version}." in line["text"]
    assert f"第 {version} 版" in problem.document["explanation"]["zh"]["lines"][0]["text"]
    assert refusal(pinned_town, HEALTH, pinned, version=version + 90).code == "version.mismatch"
    # A grant without a pin cannot read an earlier version.
    open_ = granted(pinned_town, EDUCATION, None)
    assert seen(read(pinned_town, EDUCATION, open_)) == (version + 1, {"d"})
    assert seen(read(pinned_town, EDUCATION, open_, version=version + 1)) == (version + 1, {"d"})
    assert refusal(pinned_town, EDUCATION, open_, version=version).code == "version.mismatch"


def test_two_grants_in_one_call_give_the_current_version_unless_another_is_named(pinned_town: City) -> None:
    version = renew(pinned_town, "e")
    pinned = granted(pinned_town, ELDER_CARE, version, columns=("district",))
    renew(pinned_town, "f")
    open_ = granted(pinned_town, ELDER_CARE, None)
    answer = read(pinned_town, ELDER_CARE)
    assert (seen(answer), answer.release["grant"]) == ((version + 1, {"f"}), open_)
    answer = read(pinned_town, ELDER_CARE, version=version)
    assert (seen(answer), answer.release["grant"]) == ((version, {"e"}), pinned)
    assert (
        refusal(pinned_town, ELDER_CARE, version=version, query={"columns": ["pm25"]}).code
        == "column.not-granted"
    )
    revoke(pinned_town, open_)
    answer = read(pinned_town, ELDER_CARE)
    assert (seen(answer), answer.release["grant"]) == ((version, {"e"}), pinned)
    revoke(pinned_town, pinned)
    assert refusal(pinned_town, ELDER_CARE).code.startswith("grant.")


# --- uploaded files ---------------------------------------------------------------------------------------------------
# ----------------------------------------------------------------------------------------------


def test_a_version_that_does_not_exist_or_is_not_kept_is_refused_before_anything_is_recorded(
    pinned_town: City,
) -> None:
    version = renew(pinned_town, "g")
    for number in (version + 1, 4_294_967_295):
        problem = refused_act(pinned_town, drafted(pinned_town, HEALTH, number))
        assert problem.code == "terms.version-unknown"
        assert problem.document["pointer"].startswith("/documents/0/permission/0/constraint/")
        assert f"{version}" in problem.document["detail"]
    renew(pinned_town, "h")
    gone(pinned_town, version)
    problem = refused_act(pinned_town, drafted(pinned_town, HEALTH, version))
    assert problem.code == "terms.version-not-kept"


def test_pin_is_checked_with_the_schema_of_its_version(pinned_town: City) -> None:
    version = renew(pinned_town, "i", more="note")
    keeper = granted(pinned_town, HEALTH, version)  # So that the file is kept.
    renew(pinned_town, "j")
    assert (
        refused_act(pinned_town, drafted(pinned_town, HEALTH, None, columns=("note",))).code
        == "terms.column-unknown"
    )
    pinned = granted(pinned_town, EDUCATION, version, columns=("note",))
    answer = read(pinned_town, EDUCATION, pinned, query={"columns": ["note"], "limit": 5})
    assert {row["note"] for row in answer.rows()} == {"i-new"}
    with pytest.raises(ServiceProblem) as unknown:
        read(pinned_town, EDUCATION, pinned, query={"columns": ["nothing"]})
    assert unknown.value.code == "column.unknown"
    newer = renew(pinned_town, "k", more="later")
    assert (
        refused_act(pinned_town, drafted(pinned_town, HEALTH, version, columns=("later",))).code
        == "terms.column-unknown"
    )
    assert newer == version + 2
    revoke(pinned_town, keeper)


# --- kept files -------------------------------------------------------------------------------------------------------
# ---------------------------------------------------------------------------------------------------


def test_file_is_kept_while_a_live_grant_pins_it_and_deleted_afterwards(pinned_town: City) -> None:
    version = renew(pinned_town, "l")
    pinned, other = (
        granted(pinned_town, HEALTH, version),
        granted(pinned_town, EDUCATION, version, max_uses=3),
    )
    renew(pinned_town, "m")
    rounds(pinned_town)
    assert path_of(pinned_town, "l").is_file()
    assert seen(read(pinned_town, EDUCATION, other)) == (version, {"l"})
    revoke(pinned_town, pinned)
    rounds(pinned_town)
    assert path_of(pinned_town, "l").is_file()
    path_of(pinned_town, "l").rename(pinned_town.home / "kept-aside")  # The file was removed by someone.
    problem = refusal(pinned_town, EDUCATION, other)
    assert problem.code == "version.not-kept"
    assert f"version {version} (the current one is {version + 1})" in problem.document["detail"]
    assert problem.receipt is not None
    facts = problem.receipt.event["facts"]
    assert (problem.receipt.event["decision"], facts["version"]) == ("deny", version)
    assert used(pinned_town, other) == 1  # The refusal was not charged.
    (pinned_town.home / "kept-aside").rename(path_of(pinned_town, "l"))
    assert seen(read(pinned_town, EDUCATION, other)) == (version, {"l"})
    assert used(pinned_town, other) == 2
    revoke(pinned_town, other)
    gone(pinned_town, version)
    assert not path_of(pinned_town, "l").exists()


def test_a_file_that_was_lost_is_handed_in_again_while_a_grant_pins_it(pinned_town: City) -> None:
    version = renew(pinned_town, "n")
    pinned = granted(pinned_town, HEALTH, version)
    renew(pinned_town, "o")
    path_of(pinned_town, "n").unlink()
    assert refusal(pinned_town, HEALTH, pinned).code == "version.not-kept"
    given = owner_of(pinned_town).civic.upload(AIR, pinned_town.home / "n.csv")
    assert given["version"] == version
    assert seen(read(pinned_town, HEALTH, pinned)) == (version, {"n"})
    revoke(pinned_town, pinned)
    gone(pinned_town, version)
    with pytest.raises(ServiceProblem) as refused:
        owner_of(pinned_town).civic.upload(AIR, pinned_town.home / "n.csv")
    assert refused.value.code == "source.mismatch"


def test_update_lists_pinned_grants_separately_from_broken_ones(pinned_town: City) -> None:
    version = renew(pinned_town, "p")
    pinned, open_ = granted(pinned_town, HEALTH, version), granted(pinned_town, EDUCATION, None)
    file = marked(pinned_town, "q", without="pm25")
    known = owner_of(pinned_town).civic.dataset(AIR)
    schema = dict(known["metadata"]["schema"])
    schema["fields"] = [one for one in schema["fields"] if one["name"] != "pm25"]
    metadata = dict(known["metadata"]) | {"source": source_of(file), "schema": schema}
    owner = owner_of(pinned_town)
    draft = sign_act(draft_version(AIR, version + 1, metadata), pinned_town.trust, [owner.secrets["steward"]])
    answer = submit(owner.civic, draft)
    told = {(one["code"], one.get("grant")) for one in answer["warnings"]}
    assert ("version.breaks-grant", open_) in told
    assert ("version.breaks-grant", pinned) not in told
    assert ("version.pinned-grant", pinned) in told
    assert ("version.pinned-grant", open_) not in told
    owner.civic.upload(AIR, file)
    assert owner.civic.act_status(answer["digest"], wait_s=20)["state"] == "recorded"
    assert seen(read(pinned_town, HEALTH, pinned)) == (version, {"p"})
    for grant in (pinned, open_):
        revoke(pinned_town, grant)
