"""The committed artifacts match the sources, fit on the chain, and store the documented words bit by bit."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from contracts_harness import (
    CONDITIONAL,
    FOREVER,
    HOUR,
    READER,
    STEWARD,
    USE,
    ZERO,
    Chain,
    City,
    Key,
    keccak,
    refused,
    type_hash,
)
from eth_account.messages import encode_typed_data

from contracts import messages
from contracts.artifacts import (
    DIRECTORY,
    ArtifactMissing,
    eip712_domain,
    eip712_messages,
    eip712_types,
    load,
)

SOURCES = Path(__file__).resolve().parents[2] / "contracts" / "src"


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without npm packages and without solc."""
    from contracts import build

    monkeypatch.setattr(build, "MODULES", tmp_path)
    monkeypatch.setattr(build.solcx, "get_installed_solc_versions", list)
    monkeypatch.delenv("CIVIC_REQUIRE", raising=False)


@pytest.mark.usefixtures("no_compiler")
def test_check_without_a_compiler_compares_hashes_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    from contracts import build

    assert build.main(["--check"]) == 0
    assert "not compiled, only the sources' hashes were compared" in capsys.readouterr().err


@pytest.mark.usefixtures("no_compiler")
def test_check_without_a_compiler_finds_a_changed_source(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from contracts import build

    here = tmp_path / "contracts"
    shutil.copytree(build.HERE / "src", here / "src")
    shutil.copy(build.HERE / "package.json", here)
    changed = here / "src" / "types" / "Codes.sol"
    changed.write_text(changed.read_text("utf-8") + "\n// changed\n", "utf-8")
    monkeypatch.setattr(build, "HERE", here)
    assert build.main(["--check"]) == 1
    assert "src/types/Codes.sol differs" in capsys.readouterr().err


@pytest.mark.usefixtures("no_compiler")
def test_check_without_a_compiler_fails_where_everything_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    from contracts import build

    monkeypatch.setenv("CIVIC_REQUIRE", "all")
    assert build.main(["--check"]) == 1


@pytest.mark.parametrize("name", ["SharingLedger", "AuditAnchor", "CostPools", "Conditions"])
def test_every_deployed_contract_is_below_the_code_limit(name: str) -> None:
    sizes = json.loads((DIRECTORY / f"{name}.json").read_text("utf-8"))["deployedSizes"]
    assert sizes[name] == load(name).deployed_size
    assert all(0 < size < 24_576 for size in sizes.values()), sizes


def test_the_sizes_on_chain_are_the_recorded_ones(city: City) -> None:
    sizes = json.loads((DIRECTORY / "SharingLedger.json").read_text("utf-8"))["deployedSizes"]
    assert city.chain.code_size(city.ledger.address) == sizes["SharingLedger"]
    part = city.call("firstPart")
    for name in ("Governance", "Stewardship", "Views"):
        assert city.chain.code_size(part) == sizes[name]
        part = city.chain.call(replace(city.ledger, address=part), "nextPart")
    assert int(part, 16) == 0


@pytest.mark.parametrize("wrong", ["address", "salt", "the part behind it"])
def test_a_ledger_takes_only_parts_that_were_made_for_it(wrong: str) -> None:
    """A part that names another ledger would verify signatures that were given for that one."""
    chain, codes = Chain(), load("SharingLedger").creation_codes()
    salt, home, elsewhere = keccak(b"salt"), chain.address_after(2), chain.address_after(9)
    last = chain.part(codes["Views"], salt, elsewhere if "behind" in wrong else home, "0x" + "00" * 20)
    first = chain.part(
        codes["Governance"],
        keccak(b"other salt") if wrong == "salt" else salt,
        elsewhere if wrong == "address" else home,
        last,
    )
    with refused("PartForeign"):
        chain.deploy("SharingLedger", [[Key("a").address], 1, Key("g").address, 0, salt, first], salt)


def test_what_no_part_has_is_refused(city: City) -> None:
    call = {"to": city.ledger.address, "data": "0x12345678"}
    with refused("Unknown"):
        city.chain._call(city.ledger.abi, call)


def test_the_ledger_takes_no_ether_and_names_no_owner() -> None:
    abi = load("SharingLedger").abi
    functions = {entry["name"]: entry for entry in abi if entry["type"] == "function"}
    assert all(entry["stateMutability"] in ("view", "pure", "nonpayable") for entry in functions.values())
    assert not {"owner", "upgradeTo", "upgradeToAndCall", "transferOwnership", "renounceOwnership"} & set(
        functions
    )
    for source in SOURCES.rglob("*.sol"):
        text = source.read_text("utf-8")
        assert "selfdestruct" not in text, source
        assert "tx.origin" not in text, source


def test_the_slots_that_other_contracts_read_are_those_of_the_ledger(city: City) -> None:
    """lib/LedgerWords.sol, compared with the storage layout of the compiler."""
    text = (SOURCES / "lib" / "LedgerWords.sol").read_text("utf-8")
    stated = {name.lower(): int(slot) for name, slot in re.findall(r"constant ([A-Z]+) = (\d+);", text)}
    laid_out = load("SharingLedger").storage
    assert stated == {
        name: laid_out[f"_{name}"]
        for name in ("seats", "standings", "assets", "grants", "guard", "successor")
    }


def test_any_word_is_read_by_its_slot(city: City) -> None:
    slot = keccak(city.asset_id(1, 1).to_bytes(32) + load("SharingLedger").storage["_assets"].to_bytes(32))
    assert city.call("wordAt", slot) == city.chain.storage(city.ledger, int.from_bytes(slot)) != ZERO
    assert city.call("wordAt", keccak(b"nothing there")) == ZERO


def test_no_two_functions_share_a_selector() -> None:
    abi = City(Chain()).ledger.abi
    selectors = [abi.selector(name) for name in abi.functions]
    assert (
        len(set(selectors))
        == len(selectors)
        == sum(e["type"] == "function" for e in load("SharingLedger").abi)
    )


def test_an_unknown_artifact_is_named() -> None:
    for name in ("Nothing", "../package", ""):
        with pytest.raises(ArtifactMissing):
            load(name)
    with pytest.raises(ArtifactMissing):
        eip712_domain("Nothing")


# ---- Messages --------------------------------------------------------------------------------------------------


def test_the_types_in_the_file_are_the_strings_in_the_sources() -> None:
    for name in eip712_messages("SharingLedger"):
        string = "".join(
            f"{one}({','.join(m['type'] + ' ' + m['name'] for m in eip712_types()[one])})"
            for one in [name, *sorted(_nested(name))]
        )
        written = [path for path in SOURCES.glob("*.sol") if f'"{string}"' in path.read_text("utf-8")]
        assert written, string
        assert type_hash(name) == keccak(string.encode())


def _nested(name: str) -> set[str]:
    found = {m["type"].removesuffix("[]") for m in eip712_types()[name]} & set(eip712_types())
    return found.union(*(_nested(one) for one in found)) if found else found


def test_every_message_that_changes_state_carries_a_deadline() -> None:
    for name in eip712_messages("SharingLedger"):
        assert {"name": "deadline", "type": "uint40"} in eip712_types()[name], name


def test_a_wallet_signs_the_digest_that_the_contract_expects(city: City) -> None:
    """eth-account builds the same digest from the file alone, nested types included."""
    terms = [city.terms(city.asset_id(1, 1), grantee) for grantee in (2, 3)]
    cases = {
        "Terms": terms[0],
        "GrantBatch": city.message("GrantBatch", grants=terms),
        "ReplaceCouncil": city.message(
            "ReplaceCouncil", members=[Key("a").address], threshold=1, guardian=Key("b").address, epoch=2
        ),
        "Admission": city.message(
            "Admission",
            department=9,
            recovery=Key("r").address,
            profile=ZERO,
            seats=[{"holder": Key("c").address, "roles": 1, "notBefore": 0, "notAfter": 5}],
            serviceKeys=[{"key": ZERO, "hpke": ZERO, "roles": 1, "notBefore": 0, "notAfter": 5}],
        ),
    }
    domain = {
        **eip712_domain("SharingLedger"),
        "chainId": city.chain.chain_id,
        "verifyingContract": city.ledger.address,
        "salt": city.salt,
    }
    for kind, message in cases.items():
        wanted = {one: eip712_types()[one] for one in [kind, *_nested(kind), "EIP712Domain"]}
        signable = encode_typed_data(
            full_message={"types": wanted, "primaryType": kind, "domain": domain, "message": message}
        )
        digest = keccak(b"\x19" + signable.version + signable.header + signable.body)
        assert digest == city.ledger.digest(kind, message)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ('keccak256("Revoke(bytes32 grant,uint16 reason,uint40 deadline)");', "is not its struct"),
        ('keccak256("Nothing(bytes32 grant)");', "no function takes"),
        (
            'keccak256("GrantBatch(Terms[] grants,uint40 deadline)Zebra(uint8 a)Terms(uint8 b)");',
            "alphabetical",
        ),
    ],
)
def test_a_type_string_that_differs_from_its_struct_stops_the_build(source: str, complaint: str) -> None:
    text = 'contract X is SaltedDomain("Name", "1") { bytes32 constant A = ' + source + " }"
    with pytest.raises(messages.MessageError, match=complaint):
        messages.describe("X", {"src/X.sol": text}, load("SharingLedger").abi, "src/X.sol")


def test_the_documentation_has_every_message_as_it_is_signed() -> None:
    text = (SOURCES.parents[1] / "docs" / "contracts.md").read_text("utf-8")
    for name in eip712_messages("SharingLedger"):
        for one in [name, *_nested(name)]:
            assert f"`{one}({','.join(m['type'] + ' ' + m['name'] for m in eip712_types()[one])})`" in text


# ---- Words -----------------------------------------------------------------------------------------------------


def slot_of(city: City, variable: str, *keys: int | bytes | str) -> int:
    """The word at a mapping's keys."""
    slot = load("SharingLedger").storage[variable]
    for key in keys:
        padded = (
            key
            if isinstance(key, bytes)
            else int(key, 16).to_bytes(32, "big")
            if isinstance(key, str)
            else key.to_bytes(32, "big")
        )
        slot = int.from_bytes(keccak(padded + slot.to_bytes(32, "big")), "big")
    return int.from_bytes(city.chain.storage(city.ledger, slot), "big")


def fields(word: int, *widths: int) -> list[int]:
    """A word cut into fields from its lowest bit; whatever is above them must be zero."""
    values = []
    for width in widths:
        values.append(word & ((1 << width) - 1))
        word >>= width
    assert word == 0
    return values


def test_a_grant_is_one_word(city: City) -> None:
    terms = city.terms(city.asset_id(1, 1), 2, depth=3)
    identifier = city.grant(terms)
    city.use(identifier, 5, city.departments[1].attest)
    word = slot_of(city, "_grants", identifier)
    assert fields(word, 4, 4, 8, 24, 64, 40, 40, 32, 32, 8) == [
        1,
        0,
        USE,
        2,
        terms["asset"],
        terms["notBefore"],
        terms["expiry"],
        100,
        5,
        3,
    ]
    moment = city.now
    city.revoke(identifier, city.departments[1].steward)
    cleared = word & ~(((1 << 40) - 1) << 144)
    assert slot_of(city, "_grants", identifier) == cleared + 1 + (moment << 144), "state 2, and its end"


def test_an_asset_is_one_word(city: City) -> None:
    moment, asset = city.now, city.asset_id(1, 50)
    city.register(asset)
    assert fields(slot_of(city, "_assets", asset), 24, 24, 24, 8, 8, 40, 32, 8, 8, 8) == [
        1,
        1,
        1,
        1,
        CONDITIONAL,
        moment,
        1,
        1,
        0,
        0,
    ]


def test_a_seat_is_one_word(city: City) -> None:
    officer = Key("officer")
    city.seat(city.pair(1), 1, officer, STEWARD, notBefore=7)
    assert fields(slot_of(city, "_seats", officer.address), 24, 16, 40, 40, 8) == [1, STEWARD, 7, FOREVER, 0]
    city.joint("removeOfficer", "RemoveOfficer", city.departments[1].admin, officer=officer.address)
    assert fields(slot_of(city, "_seats", officer.address), 24, 16, 40, 40, 8)[4] == 1


def test_departments_stand_in_groups_of_64(city: City) -> None:
    city.admit(70, ("admin",))
    city.joint("suspendDepartment", "SuspendDepartment", city.departments[3].admin, department=3, reason=ZERO)
    assert slot_of(city, "_standings", 0) == 1 << 4 | 1 << 8 | 2 << 12
    assert slot_of(city, "_standings", 1) == 1 << (70 - 64) * 4


def test_the_other_words(city: City) -> None:
    city.joint(
        "addServiceKey",
        "AddServiceKey",
        city.departments[1].admin,
        department=1,
        key=keccak(b"k"),
        hpke=keccak(b"h"),
        roles=READER,
        notBefore=3,
        notAfter=FOREVER,
    )
    assert fields(slot_of(city, "_serviceKeys", 1, keccak(b"k")), 8, 40, 40, 8) == [READER, 3, FOREVER, 0]
    assert fields(slot_of(city, "_council"), 160, 8, 32, 32) == [
        int(city.guardian.address, 16),
        2,
        1,
        0,
    ]
    until = city.sole("pause", "Pause", city.guardian, duration=HOUR).only("Paused")
    assert fields(slot_of(city, "_guard"), 40, 40) == [until["until"], until["pauseAllowedAt"]]


def test_emergency_due_times_are_in_the_departments_word(city: City) -> None:
    message = city.message(
        "BreakGlass", asset=city.asset_id(1, 1), grantee=2, reasonHash=ZERO, until=city.now + HOUR
    )
    event = city.send(
        "breakGlass", message, city.sign("BreakGlass", message, city.departments[2].emergency)
    ).only("GlassBroken")
    assert fields(slot_of(city, "_emergencies", 2), *[40] * 6) == [event["ratifyBy"], 0, 0, 0, 0, 0]
