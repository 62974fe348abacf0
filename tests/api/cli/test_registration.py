"""A file becomes a catalogue entry: columns inferred, classed by the steward, hashed, signed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from api.cli.profile import Profile
from api.sdk.acts import read_act
from ledger.catalogue.metadata import parse_metadata, parse_opening
from tests.api.cli.conftest import Outcome, Run

ROWS = "citizen_id,born,pay\n0117,1950-03-02,1200\n0245,1948-11-20,1350\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "pensions.csv"
    path.write_text(ROWS)
    return path


def register(run: Run, data: Path, *options: str | Path, save: Path) -> Outcome:
    return run(
        *("dataset", "register", "7.3", "--file", data, "--title-zh", "养老金", "--title-en", "Pensions"),
        *("--grade", "important", *options, "--save", save, "--json"),
    )


def test_the_entry_is_what_was_signed(run: Run, profile: Profile, tmp_path: Path, data: Path) -> None:
    path = tmp_path / "act.json"
    register(run, data, "--class", "citizen_id=identifier", "--person-key", "citizen_id", save=path)
    draft = read_act(path)
    entry = parse_metadata(draft.documents[0])
    assert draft.message["metadata"] == entry.chain_hash
    assert (draft.message["asset"], draft.message["class"], draft.message["sharing"]) == ((7 << 40) | 3, 2, 2)
    opening = draft.documents[1]
    assert entry.document["source"] == {"format": "csv", "opening": parse_opening(opening)}
    digest = hashlib.sha256(ROWS.encode()).hexdigest()
    assert (opening["sha256"], opening["bytes"]) == (digest, len(ROWS))
    assert digest not in json.dumps(draft.documents[0])
    fields = {field["name"]: (field["type"], field["class"]) for field in entry.document["schema"]["fields"]}
    assert fields == {
        "citizen_id": ("string", "identifier"),
        "born": ("date", "plain"),
        "pay": ("integer", "plain"),
    }
    assert entry.document["schema"]["personKey"] == "citizen_id"


def test_a_misspelt_column_names_close_ones(run: Run, profile: Profile, tmp_path: Path, data: Path) -> None:
    refused = register(run, data, "--class", "citizenid=identifier", save=tmp_path / "a.json")
    assert refused.error["code"] == "schema.invalid"
    assert refused.error["matches"] == ["citizen_id"]


def test_an_unknown_class_lists_the_known(run: Run, profile: Profile, tmp_path: Path, data: Path) -> None:
    refused = register(run, data, "--class", "pay=secret", save=tmp_path / "a.json")
    assert refused.error["code"] == "schema.invalid"
    assert "sensitive" in refused.error["matches"]


def test_an_unknown_grade_is_refused_with_a_pointer(
    run: Run, profile: Profile, tmp_path: Path, data: Path
) -> None:
    refused = register(run, data, "--grade", "secret", save=tmp_path / "a.json")
    assert (refused.error["code"], refused.error["pointer"]) == ("metadata.invalid", "/grade")


def test_a_finished_entry_must_be_about_the_file(
    run: Run, profile: Profile, tmp_path: Path, data: Path
) -> None:
    register(run, data, save=tmp_path / "act.json")
    entry = tmp_path / "entry.json"
    sealed, opening = read_act(tmp_path / "act.json").documents
    written_out = {**sealed, "source": {"format": "csv", **opening}}
    entry.write_text(json.dumps(sealed))
    finished = ["dataset", "register", "7.3", "--metadata", entry, "--json", "--save"]
    refused = run(*finished, tmp_path / "a.json")
    assert (refused.error["code"], refused.error["pointer"]) == ("metadata.invalid", "/source")
    entry.write_text(json.dumps(written_out))
    taken = run(
        "dataset",
        "register",
        "7.3",
        "--metadata",
        entry,
        "--file",
        data,
        "--save",
        tmp_path / "b.json",
        "--json",
    )
    assert taken.code == 0, taken.out
    data.write_text(ROWS + "0300,1951-01-01,1\n")
    refused = run(
        "dataset",
        "register",
        "7.3",
        "--metadata",
        entry,
        "--file",
        data,
        "--save",
        tmp_path / "c.json",
        "--json",
    )
    assert (refused.error["code"], refused.error["pointer"]) == ("metadata.invalid", "/source")


def test_missing_file_is_reported(run: Run, profile: Profile, tmp_path: Path) -> None:
    refused = register(run, tmp_path / "nowhere.csv", save=tmp_path / "a.json")
    assert refused.code == 1
    assert refused.error["code"] in ("source.missing", "source.forbidden", "file.unusable")


def test_a_dataset_needs_a_title(run: Run, profile: Profile, tmp_path: Path, data: Path) -> None:
    refused = run("dataset", "register", "7.3", "--file", data, "--save", tmp_path / "a.json", "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")


def test_a_file_cannot_be_promised_without_a_service_key(
    run: Run, profile: Profile, tmp_path: Path, data: Path
) -> None:
    document = profile.to_json() | {"service": ""}
    (profile.path / "profile.json").write_text(json.dumps(document))
    refused = register(run, data, save=tmp_path / "a.json")
    assert (refused.code, refused.error["code"]) == (2, "usage")
    assert register(run, data, "--no-upload", save=tmp_path / "a.json").code == 0


def test_a_derived_dataset_names_what_it_comes_from(
    run: Run, profile: Profile, tmp_path: Path, data: Path
) -> None:
    path, grant = tmp_path / "act.json", "0x" + "ab" * 32
    register(run, data, "--parent", f"8.2={grant}", "--parent", "7.1", save=path)
    draft = read_act(path)
    assert draft.type == "DeriveAsset"
    assert draft.message["parents"] == [(7 << 40) | 1, (8 << 40) | 2]
    assert draft.message["under"] == ["0x" + "00" * 32, grant]
    assert draft.message["metadata"] == parse_metadata(draft.documents[0]).chain_hash


@pytest.mark.parametrize("given", [("7.1", "7.1"), ("7",), ("7.1=0xabc",), ("7.1=",)])
def test_parent_must_be_named_once_and_valid(
    run: Run, profile: Profile, tmp_path: Path, data: Path, given: tuple[str, ...]
) -> None:
    path = tmp_path / "act.json"
    options = [part for one in given for part in ("--parent", one)]
    refused = register(run, data, *options, save=path)
    assert refused.code != 0
    assert not path.exists()


def opening_of(path: Path) -> dict[str, object]:
    found = read_act(path).documents[1]
    assert isinstance(found, dict)
    return found


def test_a_file_as_excel_writes_it_in_china_is_signed_as_the_file_written_from_it(
    run: Run, profile: Profile, tmp_path: Path
) -> None:
    data = tmp_path / "养老金.csv"
    data.write_bytes("编号;姓名\r\n0117;张三\r\n".encode("gbk"))
    done = register(run, data, "--no-upload", save=tmp_path / "act.json")
    assert done.code == 0, done.out
    written = tmp_path / "养老金.csv.civic.csv"
    assert written.read_bytes() == "编号,姓名\n0117,张三\n".encode()
    assert opening_of(tmp_path / "act.json")["sha256"] == hashlib.sha256(written.read_bytes()).hexdigest()
    assert "gb18030" in done.err
    assert str(written.name) in done.err


def test_a_file_that_cannot_be_read_is_refused_with_its_place(
    run: Run, profile: Profile, tmp_path: Path
) -> None:
    data = tmp_path / "odd.csv"
    data.write_bytes(b"a,b\n1,2\n3\n")
    refused = register(run, data, save=tmp_path / "act.json")
    assert (refused.code, refused.error["code"]) == (1, "file.ragged")
    assert (refused.error["file"], refused.error["line"]) == ("odd.csv", 3)
    assert refused.error["hint"]
    assert not (tmp_path / "act.json").exists()


def test_money_is_registered_as_an_exact_decimal(run: Run, profile: Profile, tmp_path: Path) -> None:
    data = tmp_path / "fees.csv"
    data.write_text("fee\n12.50\n3.00\n")
    done = register(run, data, "--no-upload", save=tmp_path / "act.json")
    assert done.code == 0, done.out
    [field] = read_act(tmp_path / "act.json").documents[0]["schema"]["fields"]
    assert field["type"] == "decimal(2)"
