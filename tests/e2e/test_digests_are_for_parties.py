"""The digest and size of a small file can be guessed: only parties with a right in the dataset get them."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from api.demo.city import City, hand_in
from api.demo.datasets import DATASETS, dataset_path
from api.demo.participants import AUDIT, ENVIRONMENT, HEALTH, PLANNING
from api.sdk.acts import ActDraft
from api.sdk.drafts import deadline_in, document_hash, draft_registration, sign_act, source_of, submit
from api.sdk.errors import ServiceProblem
from ledger.audit.formats.source_opening import seal
from ledger.catalogue.metadata import parse_opening
from ledger.ids import parse_asset


def digest(key: str) -> str:
    return hashlib.sha256(dataset_path(key).read_bytes()).hexdigest()


def public(city: City, path: str) -> bytes:
    with urllib.request.urlopen(city.service.url + path) as answer:
        body: bytes = answer.read()
        return body


def spelled(key: str) -> list[bytes]:
    """The digest as hex, base64 and base64url, and the size beside its name."""
    raw = hashlib.sha256(dataset_path(key).read_bytes()).digest()
    size = dataset_path(key).stat().st_size
    return [
        raw.hex().encode(),
        raw.hex().upper().encode(),
        base64.b64encode(raw).rstrip(b"="),
        base64.urlsafe_b64encode(raw).rstrip(b"="),
        b'"bytes":%d' % size,
        b'"bytes": %d' % size,
    ]


def leaks(text: bytes) -> list[str]:
    return [item.key for item in DATASETS for one in spelled(item.key) if one in text]


def test_no_public_answer_has_a_digest_or_a_size(shared_city: City, tmp_path: Path) -> None:
    city = shared_city
    ids = list(city.assets.values())
    paths = ["/v1/datasets?limit=50", "/v1/departments", "/v1/grants", "/v1/status", "/checkpoint"]
    paths += [f"/v1/datasets/{one}" for one in ids] + [f"/v1/grants/{one}" for one in city.grants.values()]
    assert leaks(b"".join(public(city, path) for path in paths)) == []
    # What city-wide auditors can pass on: leaves, bundle, tiles, receipts.
    bundle = tmp_path / "bundle.tar"
    city.of(AUDIT).civic.export(bundle)
    assert b"department:source:received" in bundle.read_bytes()
    assert leaks(bundle.read_bytes()) == []
    received = list(city.of(AUDIT).civic.entries(type="department:source:received", limit=50))
    assert len(received) == len(DATASETS)
    assert all(e["entry"]["facts"].keys() == {"version", "metadata"} for e in received)
    assert all("counts" not in e["entry"] for e in received)


def test_a_guess_cannot_be_confirmed_by_the_hash_on_chain(shared_city: City) -> None:
    """A person with the right file and all public data still lacks the salt."""
    entry = shared_city.of(HEALTH).civic.dataset("6.1")
    assert document_hash(entry["metadata"]) == entry["metadata_hash"]
    source = entry["metadata"]["source"]
    assert source.keys() == {"format", "opening"}
    guess = {"sha256": digest("air_quality"), "bytes": dataset_path("air_quality").stat().st_size}
    tried: list[Any] = [guess, guess | {"format": "csv"}, guess["sha256"], [*guess.values()]]
    tried += [guess | {"salt": salt} for salt in ("", "0" * 32, entry["metadata_hash"][2:34], "6.1")]
    named = {hashlib.sha256(rfc8785.dumps(one)).hexdigest() for one in tried}
    assert source["opening"] not in named
    written_out = {**entry["metadata"], "source": {"format": "csv", **guess}}
    assert document_hash(written_out) != entry["metadata_hash"]


def test_parties_and_city_auditors_get_the_digest_and_can_check_it(shared_city: City) -> None:
    for part in (ENVIRONMENT, AUDIT):
        told = shared_city.of(part).civic.dataset_source("6.1")
        assert (told["sha256"], told["bytes"]) == (
            digest("air_quality"),
            dataset_path("air_quality").stat().st_size,
        )
        assert len(bytes.fromhex(told["salt"])) >= 16
        named = shared_city.of(part).civic.dataset("6.1")["metadata"]["source"]["opening"]
        assert parse_opening({name: told[name] for name in ("sha256", "bytes", "salt")}) == named
    # A grantee could guess the columns that it was not granted.
    for part in (PLANNING, HEALTH):
        with pytest.raises(ServiceProblem) as refused:
            shared_city.of(part).civic.dataset_source("6.1")
        assert refused.value.code == "caller.not-party"
        assert digest("air_quality") not in json.dumps(refused.value.document)


def test_each_entry_has_a_salt_of_its_own(shared_city: City) -> None:
    path = dataset_path("air_quality")
    assert source_of(path)["salt"] != source_of(path)["salt"]
    entry = {"source": {"format": "csv", "sha256": "ab" * 32, "bytes": 1}}
    assert seal(entry)[0] != seal(entry)[0]


def entry_of(city: City) -> dict[str, Any]:
    entry: dict[str, Any] = city.of(ENVIRONMENT).civic.dataset("6.1")["metadata"]
    return entry


def refused_code(city: City, documents: tuple[dict[str, Any], ...]) -> str:
    owner = city.of(ENVIRONMENT)
    message = {
        "asset": parse_asset("6.9"),
        "class": 1,
        "sharing": 2,
        "metadata": document_hash(documents[0]),
        "deadline": deadline_in(),
    }
    draft = sign_act(ActDraft("RegisterAsset", message, documents), city.trust, [owner.secrets["steward"]])
    with pytest.raises(ServiceProblem) as refused:
        submit(owner.civic, draft)
    return refused.value.code


def test_an_entry_without_a_salted_opening_is_refused(shared_city: City) -> None:
    city, written_out = shared_city, {"format": "csv", "sha256": "ab" * 32, "bytes": 1}
    entry = entry_of(city)
    assert refused_code(city, ({**entry, "source": written_out},)) == "metadata.unsalted"
    assert (
        refused_code(city, ({**entry, "source": {**written_out, "salt": "0" * 32}},)) == "metadata.unsalted"
    )
    sealed, opening = seal({**entry, "source": written_out})
    assert opening is not None
    assert refused_code(city, (sealed,)) == "act.document-missing"
    assert refused_code(city, (sealed, opening | {"salt": "1" * 32})) == "metadata.opening"
    assert refused_code(city, (sealed, opening | {"salt": "1" * 8})) == "metadata.invalid"
    unsalted = {name: value for name, value in opening.items() if name != "salt"}
    named = {**entry, "source": {"format": "csv", "opening": document_hash(unsalted)[2:]}}
    assert refused_code(city, (named, unsalted)) == "metadata.invalid"


def test_our_tools_add_a_missing_salt(shared_city: City) -> None:
    city, owner = shared_city, shared_city.of(ENVIRONMENT)
    path = dataset_path("air_quality")
    source = {name: value for name, value in source_of(path).items() if name != "salt"}
    draft = draft_registration("6.9", {**entry_of(city), "source": source})
    hand_in(city, owner, draft, [owner.secrets["steward"]])
    owner.civic.upload("6.9", path)
    assert owner.civic.dataset_source("6.9")["sha256"] == source["sha256"]


def test_entry_of_an_earlier_version_shows_its_digest_to_parties_only(city: City) -> None:
    """An entry that was signed with its digest in the clear, as in the database of an earlier version."""
    path = dataset_path("air_quality")
    written_out = {name: value for name, value in source_of(path).items() if name != "salt"}
    old = {**entry_of(city), "source": written_out}
    body = rfc8785.dumps(old)
    with sqlite3.connect(city.home / "ledger.sqlite") as database:
        row = (hashlib.sha256(body).hexdigest(), body)
        database.execute("INSERT INTO document (sha256, body) VALUES (?, ?)", row)
        database.execute("UPDATE asset SET metadata_hash = ? WHERE id = '6.1'", (f"0x{row[0]}",))
    shown = city.of(HEALTH).civic.dataset("6.1")
    assert shown["metadata"]["source"] == {"format": "csv"}
    assert shown["readable"]
    assert leaks(public(city, "/v1/datasets/6.1")) == []
    assert city.of(ENVIRONMENT).civic.dataset_source("6.1")["sha256"] == written_out["sha256"]
