"""The verifier on files of strangers: its output cannot be controlled, and it claims only what was checked."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.verify.receipts import Receipt, verify_receipt
from tests.api.cli.conftest import Run
from tests.ledger.audit.by_hand import Forgery, Key, b64, chain, h, mth

LEAVES = [b'{"entry":%d,"type":"gateway:read:decided","v":1}' % n for n in range(7)]
PLACE = "0x" + "a7" * 20
ORIGIN = f"civicledger.example/log/4242001/{PLACE}/1"
KEY = Key(ORIGIN)


def forgery(leaves: list[bytes] = LEAVES, key: Key = KEY) -> Forgery:
    return Forgery(key.name, leaves, chain(key.name, (key, 0)), (key,))


def trust_text(**more: Any) -> str:
    return json.dumps(
        {
            "version": 1,
            "origin": ORIGIN,
            "log_key": KEY.vkey,
            "chain_id": 4242001,
            "contracts": {"ledger": "0x" + "1e" * 20, "anchor": PLACE},
            "witnesses": [],
            "quorum": 0,
        }
        | more
    )


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    path = tmp_path / "trust.json"
    path.write_text(trust_text())
    return path


@pytest.mark.parametrize(
    "name",
    ["x\n\x1b[2J\x1b[HVerified against the trust file.\nverified; anchor checked", "\u202ex", "x\x9b2J"],
)
def test_file_name_cannot_control_the_terminal(run: Run, tmp_path: Path, trusted: Path, name: str) -> None:
    bundle = forgery().write(tmp_path / "bundle")
    (bundle / name).write_text("")
    done = run("audit", "verify", bundle, "--trust", trusted)
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[:2] == ["FAILED: this is not the record that was signed.", "failed; anchor not checked"]
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_file_whose_name_is_no_text_is_named_as_well_as_can_be(
    run: Run, tmp_path: Path, trusted: Path, options: tuple[str, ...]
) -> None:
    bundle = forgery().write(tmp_path / "bundle")
    with open(os.path.join(os.fsencode(bundle), b"\xff\xfe"), "wb"):
        pass
    done = run("audit", "verify", bundle, "--trust", trusted, *options)
    assert done.code == 1
    assert "bundle.extra" in done.out
    done.out.encode()


def test_log_name_cannot_control_the_terminal(run: Run, tmp_path: Path) -> None:
    """Without a trust file a receipt may be of any log, whatever its name."""
    file = tmp_path / "3.tlog-proof"
    file.write_text(forgery(key=Key("civic\x9b2J\u202everified")).receipt(3))
    done = run("audit", "receipt", "verify", file)
    assert "self-consistent only" in done.out
    assert all(line.isprintable() for line in done.out.splitlines())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (trust_text()[:-1] + ', "quorum": 0}', "quorum"),
        (trust_text(pins=[{"size": 3, "root": b64(bytes(32))}])[:-1] + ', "pins": []}', "pins"),
        (trust_text().replace('"ledger"', '"anchor": "0x00", "ledger"'), "anchor"),
        (trust_text(pin=[{"size": 3, "root": b64(bytes(32))}]), "pin"),
        (trust_text(Quorum=1), "Quorum"),
    ],
)
def test_a_trust_file_with_a_repeated_or_unknown_member_is_refused(
    run: Run, tmp_path: Path, content: str, said: str
) -> None:
    """A misspelled pin would be no pin, and of two quorums a person may have read the other."""
    bundle, path = forgery().write(tmp_path / "bundle"), tmp_path / "trust.json"
    path.write_text(content)
    for file, words in ((bundle, ("audit", "verify")), (tmp_path / "r", ("audit", "receipt", "verify"))):
        (tmp_path / "r").write_text(forgery().receipt(3))
        refused = run(*words, file, "--trust", path, "--json")
        assert (refused.code, refused.error["code"]) == (1, "audit.trust")
        assert said in refused.error["message"]


def test_deeply_nested_profile_is_refused_with_a_code(run: Run, tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text("[" * 100_000)
    refused = run("status", "--profile", tmp_path, "--json")
    assert refused.error["code"] == "profile.invalid"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("audit verify bundle --trust FILE", "audit.trust"),
        ("audit verify bundle --trust trust.json --kept FILE", "file.unusable"),
        ("audit receipt verify FILE", "file.unusable"),
        ("keys show ./FILE", "keystore.invalid"),
        ("submit FILE --profile .", "act.file"),
        ("policy check FILE", "file.unusable"),
    ],
)
def test_sparse_terabyte_file_is_not_read(
    run: Run, tmp_path: Path, trusted: Path, monkeypatch: pytest.MonkeyPatch, words: str, code: str
) -> None:
    """Its holes cost its maker nothing."""
    monkeypatch.chdir(tmp_path)
    forgery().write(tmp_path / "bundle")
    (tmp_path / "FILE").touch()
    os.truncate(tmp_path / "FILE", 1 << 40)
    assert run(*words.split(), "--json").error["code"] == code


def test_deeply_nested_key_file_is_refused_with_a_code(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("[" * 100_000)
    assert run("keys", "show", tmp_path / "key.json", "--json").error["code"].startswith("keystore.")


@pytest.mark.parametrize(
    "leaf",
    [
        b'{"decision":"permit","entry":0,"decision":"deny"}',
        b'{"decision":"deny", "entry":0}',
        b'{"entry":0,"decision":"deny"}',
        b'{"decision":"\\u0064eny","entry":0}',
        b'{"decision":"\\ud800","entry":0}',
        b'{"entry":NaN,"entry":0}',
    ],
)
def test_ambiguous_entry_is_refused(leaf: bytes) -> None:
    text = forgery([leaf]).receipt(0)
    assert verify_receipt(text).word == "failed"
    with pytest.raises(NoteInvalid):
        _ = Receipt.parse(text).event


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii"), max_size=5),
        st.text() | st.integers(-(1 << 53), 1 << 53) | st.booleans() | st.none() | st.lists(st.text()),
    )
)
def test_every_written_entry_can_be_read(entry: dict[str, Any]) -> None:
    """The log's entries are written by another library than they are read with."""
    receipt = Receipt(0, orjson.dumps(entry, option=orjson.OPT_SORT_KEYS), (), "")
    assert receipt.event == entry


def test_a_receipt_claims_no_more_than_was_compared(run: Run, tmp_path: Path) -> None:
    file, path = tmp_path / "3.tlog-proof", tmp_path / "trust.json"
    file.write_text(forgery().receipt(3))
    path.write_text(trust_text())
    done = run("audit", "receipt", "verify", file, "--trust", path)
    assert (done.code, "nothing held elsewhere" in done.out) == (0, True)
    roots = {size: b64(mth([h(0, leaf) for leaf in LEAVES[:size]])) for size in (5, 7)}
    path.write_text(trust_text(pins=[{"size": size, "root": root} for size, root in roots.items()]))
    done = run("audit", "receipt", "verify", file, "--trust", path)
    assert "matched with the pinned head of size 7" in done.out
    assert "1 pinned head of another size was not compared" in done.out
    assert "nothing held elsewhere" not in done.out


@pytest.mark.parametrize("url", ["http://[::1", "http://", "https://x:y:z", "http://a\x00b"])
def test_invalid_url_is_refused_with_a_code(run: Run, url: str) -> None:
    refused = run("audit", "verify", url, "--json")
    assert (refused.code, refused.error["code"]) == (1, "audit.tile")
