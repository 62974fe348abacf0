"""Every field of every file from a stranger is within its range and bound to something, or refused.

Nothing here is written by the ledger: the files are built by hand from docs/audit.md (`by_hand.py`).
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.audit.formats.checkpoint import Head
from ledger.audit.formats.note import COSIGNATURE, Signer, VerifierKey
from ledger.audit.outside.witness import Witness, WitnessState
from ledger.audit.verify import Trust, TrustInvalid, Verdict, verify_bundle
from ledger.audit.verify.keychain import KeyChain
from ledger.audit.verify.receipts import Receipt, verify_receipt
from tests.ledger.audit.by_hand import (
    Forgery,
    Key,
    archive_statement,
    b64,
    canonical,
    chain,
    h,
    head,
    mth,
    note,
)
from tests.ledger.audit.conftest import ORIGIN as PLACE

ORIGIN = str(PLACE)
LEAVES = [b'{"entry":%d,"type":"gateway:read:decided","v":1}' % n for n in range(7)]
HASHES = [h(0, leaf) for leaf in LEAVES]
KEY = Key(ORIGIN)
ANCHOR = {
    "size": 3,
    "root": b64(mth(HASHES[:3])),
    "block_number": 7,
    "block_hash": "0x" + "ab" * 32,
    "proof": None,
}

STRANGE = [
    True,
    False,
    None,
    -1,
    1 << 64,
    1 << 70,
    10**30,
    0.5,
    1e400,
    "",
    "-1",
    "0x",
    [],
    {},
    [[]],
    [7],
    {"a": 1},
]
"""Values that no field of these files may have, unless it has them already."""


def trust(key: Key = KEY, **more: Any) -> Trust:
    return Trust(
        origin=ORIGIN,
        log_key=VerifierKey.parse(key.vkey),
        chain_id=PLACE.chain_id,
        ledger_contract="0x" + "1e" * 20,
        anchor_contract=PLACE.contract,
        **more,
    )


def forgery(**more: Any) -> Forgery:
    values: dict[str, Any] = {"keys": chain(ORIGIN, (KEY, 0)), "signers": (KEY,), "earlier": [(3, (KEY,))]}
    return Forgery(ORIGIN, LEAVES, **(values | more))


def codes(verdict: Verdict) -> list[str]:
    return [finding.code for finding in verdict.findings]


@pytest.mark.parametrize("kind", ["chain:grant:granted", "log:act:taken"])
def test_entry_with_invalid_facts_does_not_crash_the_verifier(tmp_path: Path, kind: str) -> None:
    facts = [*STRANGE, *({"act": "0x", "event": value} for value in STRANGE)]
    leaves = [canonical_leaf({"facts": value, "type": kind}) for value in facts]
    bundle = Forgery(ORIGIN, leaves, chain(ORIGIN, (KEY, 0)), (KEY,)).write(tmp_path / "strange")
    assert verify_bundle(bundle).word == "self-consistent only"


def test_permit_under_a_replaced_grant_with_invalid_facts_does_not_crash(tmp_path: Path) -> None:
    service, above, newer, below = f"2:{'5e' * 32}", *("0x" + digit * 64 for digit in "123")
    key = {"arg.department": 2, "arg.key": f"0x{'5e' * 32}", "arg.roles": 1, "arg.notBefore": 0}
    key |= {"arg.notAfter": 1 << 40}
    said: list[dict[str, Any]] = [
        {"type": "chain:service-key:added", "facts": key},
        {"type": "chain:grant:granted", "grant": above, "facts": {}},
        {"type": "chain:grant:granted", "grant": newer, "facts": {}},
        {"type": "chain:grant:granted", "grant": below, "facts": {"arg.parent": above}},
        {"type": "chain:grant:replaced", "grant": above, "facts": {"arg.by": newer}},
        {
            "type": "gateway:read:decided",
            "decision": "permit",
            "grant": below,
            "service": service,
            "facts": [1],
        },
    ]
    leaves = [
        canonical_leaf(one | {"id": f"{n:032x}", "time": f"2026-01-0{n + 1}T00:00:00.000000Z"})
        for n, one in enumerate(said)
    ]
    bundle = Forgery(ORIGIN, leaves, chain(ORIGIN, (KEY, 0)), (KEY,)).write(tmp_path / "replaced")
    assert codes(verify_bundle(bundle)) == ["authority.grant"]


def canonical_leaf(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_pinned_empty_head_matches_every_log(tmp_path: Path) -> None:
    bundle = forgery().write(tmp_path / "bundle")
    verdict = verify_bundle(bundle, trust(pins=(Head(0, mth([])),)))
    assert (verdict.word, verdict.held_elsewhere) == ("verified", ())
    assert codes(verify_bundle(bundle, trust(pins=(Head(0, HASHES[0]),)))) == ["trust.pin"]


# -- the archived front


@pytest.mark.parametrize("first", [1, 3, 6, 7])
def test_bundle_without_its_front_is_not_verified(tmp_path: Path, first: int) -> None:
    stripped = forgery(first_entry=first).write(tmp_path / "stripped")
    for given_trust in (trust(), None):
        verdict = verify_bundle(stripped, given_trust)
        assert (verdict.word, codes(verdict)) == ("failed", ["archive.unproven"])
    pinned = trust(pins=(Head(first, mth(HASHES[:first])),))
    assert verify_bundle(stripped, pinned).word == "failed", "a pinned head says nothing about absent leaves"


@pytest.mark.parametrize("first", [1, 3, 7])
def test_an_archived_front_that_the_log_signed_is_verified_in_part(tmp_path: Path, first: int) -> None:
    said = archive_statement(ORIGIN, HASHES, first, KEY)
    bundle = forgery(first_entry=first, frame={"archived": said}).write(tmp_path / "archived")
    verdict = verify_bundle(bundle, trust())
    assert (verdict.word, verdict.first_entry, verdict.whole) == ("verified in part", first, False)
    assert verdict.leaves_hashed == 7 - first
    assert any(f"entries 0 to {first - 1} are archived" in remark for remark in verdict.remarks)
    alone = verify_bundle(bundle)
    assert (alone.word, alone.whole) == ("self-consistent only", False)


def test_archive_note_counts_only_from_the_key_in_force_and_for_this_log(
    tmp_path: Path,
) -> None:
    stranger, new = Key(ORIGIN), Key(ORIGIN)
    rotated = chain(ORIGIN, (KEY, 0), (new, 4))
    claimed = chain(ORIGIN, (stranger, 0), (KEY, 7))
    one_key = chain(ORIGIN, (KEY, 0))
    good = archive_statement(ORIGIN, HASHES, 3, KEY)
    cases = [
        (one_key, (KEY,), archive_statement(ORIGIN, HASHES, 3, stranger)),
        (rotated, (new,), good),  # The key that handed over at 4.
        (claimed, (KEY,), archive_statement(ORIGIN, HASHES, 3, stranger)),
        (one_key, (KEY,), archive_statement(ORIGIN, HASHES, 2, KEY)),
        (one_key, (KEY,), archive_statement(ORIGIN, HASHES[:6], 3, KEY)),
        (one_key, (KEY,), archive_statement(ORIGIN[:-1] + "2", HASHES, 3, KEY)),
        (one_key, (KEY,), archive_statement(ORIGIN, HASHES, 3, KEY, stranger)),
        (one_key, (KEY,), archive_statement(ORIGIN, HASHES, 3)),
        (one_key, (KEY,), head(ORIGIN, HASHES, KEY)),
        (one_key, (KEY,), good + "\n"),
        (one_key, (KEY,), ""),
    ]
    for keys, signers, said in cases:
        bundle = forgery(keys=keys, signers=signers, first_entry=3, frame={"archived": said})
        verdict = verify_bundle(bundle.write(tmp_path / "claimed"), trust())
        assert verdict.word == "failed", said
    whole = forgery(frame={"archived": archive_statement(ORIGIN, HASHES, 0, KEY)})
    assert verify_bundle(whole.write(tmp_path / "whole"), trust()).word == "failed"


def test_a_trust_file_may_name_the_archived_front_of_an_older_bundle(tmp_path: Path) -> None:
    stripped = forgery(first_entry=3).write(tmp_path / "stripped")
    front = Head(3, mth(HASHES[:3]))
    accepting = trust(archived=(front,))
    assert Trust.parse(accepting.to_json()) == accepting
    assert verify_bundle(stripped, accepting).word == "verified in part"
    for other in (Head(2, mth(HASHES[:2])), Head(3, mth(HASHES[:2])), Head(7, mth(HASHES))):
        assert verify_bundle(stripped, trust(archived=(other,))).word == "failed"


# -- the files of a bundle


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every member of a JSON value."""
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in inside:
        yield from places(member, (*at, name))


def changed(value: Any, at: tuple[Any, ...], put: Any) -> Any:
    """A copy with another value at one path."""
    if not at:
        return put
    made = copy.deepcopy(value)
    inner = made
    for name in at[:-1]:
        inner = inner[name]
    inner[at[-1]] = put
    return made


def put(folder: Path, name: str, value: Any) -> None:
    """Write a file of the bundle, with its digest in the manifest."""
    data = canonical(value)
    (folder / name).write_bytes(data)
    if name != "manifest.json":
        manifest = json.loads((folder / "manifest.json").read_bytes())
        manifest["digests"][name] = hashlib.sha256(data).hexdigest()
        (folder / "manifest.json").write_bytes(canonical(manifest))


@pytest.mark.parametrize("name", ["manifest.json", "history.json", "anchors.json"])
def test_unexpected_value_in_any_member_is_refused(tmp_path: Path, name: str) -> None:
    new = Key(ORIGIN)
    bundle = forgery(
        keys=chain(ORIGIN, (KEY, 0), (new, 5)),
        signers=(new,),
        anchors=[ANCHOR, ANCHOR | {"size": 7, "root": b64(mth(HASHES)), "block_number": 9}],
        first_entry=2,
        frame={"archived": archive_statement(ORIGIN, HASHES, 2, new)},
    ).write(tmp_path / "bundle")
    good = json.loads((bundle / name).read_bytes())
    assert verify_bundle(bundle, trust()).word == "verified in part"
    for at in places(good):
        for strange in STRANGE:
            made = changed(good, at, strange)
            # Lists may be empty if nothing depends on them.
            if canonical(made) == canonical(good) or (at == () and strange == [] and name != "manifest.json"):
                continue
            put(bundle, name, made)
            verdict = verify_bundle(bundle, trust())
            assert verdict.word == "failed", f"{name} {at} may be {strange!r}"
            assert verdict.findings[0].message
    put(bundle, name, good)
    assert verify_bundle(bundle, trust()).word == "verified in part"


@given(
    st.lists(
        st.tuples(st.sampled_from(["size", "first_entry"]), st.integers(-(1 << 70), 1 << 70)), min_size=1
    )
)
@settings(max_examples=60, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stated_numbers_are_checked_before_use(tmp_path: Path, numbers: list[tuple[str, int]]) -> None:
    """A time limit of two seconds: a size is compared with the files before a list of that size is made."""
    stated = dict(numbers)
    verdict = verify_bundle(forgery(frame=stated).write(tmp_path / "bundle"), trust())
    same = stated.get("size", 7) == 7 and stated.get("first_entry", 0) == 0
    assert verdict.ok == same


def test_anchors_and_timestamps_come_once_and_in_order(tmp_path: Path) -> None:
    later = ANCHOR | {"size": 7, "root": b64(mth(HASHES))}
    for anchors in ([ANCHOR, ANCHOR], [later, ANCHOR], [ANCHOR | {"size": True}], [ANCHOR | {"size": 8}]):
        bundle = forgery(anchors=anchors).write(tmp_path / "bundle")
        assert codes(verify_bundle(bundle, trust()))[0].startswith(("anchor.", "bundle.malformed"))
    for size in (True, -3, 8, 1 << 70, "3"):
        for token in ("", "AA==", "A", 7):
            bundle = forgery(timestamps=[{"size": size, "token": token}]).write(tmp_path / "bundle")
            assert verify_bundle(bundle, trust()).word == "failed"


# -- the files of a bundle on disk


def test_a_pipe_a_link_or_a_device_in_a_bundle_is_refused(tmp_path: Path) -> None:
    bundle = forgery().write(tmp_path / "bundle")
    history = bundle / "history.json"
    history.unlink()
    os.mkfifo(history)
    assert codes(verify_bundle(bundle, trust())) == ["bundle.malformed"]
    history.unlink()
    history.symlink_to("/dev/zero")
    assert codes(verify_bundle(bundle, trust())) == ["bundle.malformed"]


@pytest.mark.parametrize(
    "name", ["manifest.json", "checkpoint", "leaf-hashes/000000000000.bin", "entries/000000000000.ndjson"]
)
def test_a_file_that_is_longer_than_it_can_be_is_not_read(tmp_path: Path, name: str) -> None:
    """A sparse terabyte costs nothing on disk, but would fill the memory if read."""
    bundle = forgery().write(tmp_path / "bundle")
    os.truncate(bundle / name, 1 << 40)
    assert codes(verify_bundle(bundle, trust())) == ["bundle.malformed"]


@pytest.mark.parametrize("size", [1 << 33, 1 << 62, 1 << 80, -1, -(1 << 40)])
def test_a_tar_header_with_a_size_that_cannot_be_is_refused(tmp_path: Path, size: int) -> None:
    info = tarfile.TarInfo("anchors.json")
    info.size = size
    header = info.tobuf(tarfile.GNU_FORMAT)
    path = tmp_path / "bundle.tar"
    path.write_bytes(header[:512] + bytes(2048))
    assert codes(verify_bundle(path, trust())) == ["bundle.malformed"]


def test_tar_with_100000_empty_files_is_refused_quickly(tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar"
    with path.open("wb") as file:
        for number in range(30_000):
            info = tarfile.TarInfo(f"a{number:012d}")
            file.write(info.tobuf(tarfile.USTAR_FORMAT))
        file.write(bytes(1024))
    assert codes(verify_bundle(path, trust())) == ["bundle.missing"]


# -- receipts


@pytest.mark.parametrize("member", ["entry", "anchor", "keys"])
@pytest.mark.parametrize("strange", STRANGE)
def test_unexpected_value_in_a_receipt_is_refused(member: str, strange: Any) -> None:
    text = forgery().receipt(2, **{member: strange})
    if (member == "anchor" and strange is None) or (member == "keys" and strange == []):
        return  # Another spelling than ours: see below.
    for given_trust in (trust(), None):
        assert verify_receipt(text, given_trust).word == "failed"


def test_a_receipt_in_other_spellings_is_refused() -> None:
    good = forgery().receipt(2)
    assert verify_receipt(good, trust()).word == "verified"
    extra = good.split("\n")[1]

    def with_extra(data: bytes) -> str:
        return good.replace(extra, "extra " + b64(data))

    entry = json.dumps(LEAVES[2].decode()).encode()
    spellings = [
        b"[" * 100_000,
        b'{"entry":' + b"[" * 100_000,
        b'{"entry":"\\ud800"}',
        b'{"anchor":"\\ud800","entry":' + entry + b"}",
        b'{"anchor":{"a":"\\ud800"},"entry":' + entry + b"}",
        b'{"anchor":null,"entry":' + entry + b"}",
        b'{"entry":' + entry + b',"keys":[]}',
        b'{"entry":' + entry + b',"more":1}',
        b'{"entry":' + entry + b',"entry":' + entry + b"}",
        b'{"entry": ' + entry + b"}",
        b"\xff",
        b"7",
        b"",
    ]
    for data in spellings:
        verdict = verify_receipt(with_extra(data), trust())
        assert (verdict.word, verdict.findings[0].code) == ("failed", "receipt.malformed"), data[:40]
    for old, new in (
        ("index 2", "index -2"),
        ("index 2", "index 02"),
        ("index 2", "index 9999999999999999999"),
        ("index 2", "index " + "9" * 5000),
        ("index 2", "index 2\n" + b64(bytes(31))),
        ("index 2", "index 2\n" + (b64(bytes(32)) + "\n") * 100),
    ):
        assert verify_receipt(good.replace(old, new), trust()).word == "failed"


def test_leaf_that_is_not_an_object_is_refused() -> None:
    for leaf in (b"7", b"null", b'["a"]', b'"text"', b"[" * 60_000, b"{", b"9" * 5000):
        made = Forgery(ORIGIN, [leaf, *LEAVES], chain(ORIGIN, (KEY, 0)), (KEY,)).receipt(0)
        verdict = verify_receipt(made, trust())
        assert (verdict.word, verdict.findings[0].code) == ("failed", "receipt.malformed"), leaf[:20]
        Receipt.parse(made)


# -- trust files, resume files, requests to witnesses


def test_unexpected_value_in_a_trust_file_is_refused() -> None:
    witness = Signer.generate("witness.example/a", COSIGNATURE)
    full = trust(
        witnesses=(witness.key,),
        quorum=1,
        pins=(Head(3, mth(HASHES[:3])),),
        archived=(Head(2, mth(HASHES[:2])),),
        blocks={7: "0x" + "ab" * 32},
    )
    good = json.loads(full.to_json())
    empty_allowed = {("pins",), ("blocks",), ("archived",), ("timestamp_roots",)}
    for at in places(good):
        for strange in STRANGE:
            made = changed(good, at, strange)
            if made == good and canonical(made) == canonical(good):
                continue
            if at in empty_allowed and strange == ({} if at == ("blocks",) else []):
                continue
            with pytest.raises(TrustInvalid):
                Trust.parse(json.dumps(changed(good, at, strange)))
    for number in ("-7", "+7", " 7", "07", "7_0", "٧", "1e3", "9" * 30):
        with pytest.raises(TrustInvalid):
            Trust.parse(json.dumps(good | {"blocks": {number: "0x" + "ab" * 32}}))
    for data in (b"[" * 100_000, b'{"version":1e999}', b"\xff", b"{" * 50_000):
        with pytest.raises(TrustInvalid):
            Trust.parse(data)


@pytest.mark.parametrize(
    "strange", [*STRANGE, ["s", "r"], ["s", 7], ["s", "0" * 64], [True, "0" * 64], ["s"] * 3]
)
def test_unexpected_resume_file_does_not_change_the_verdict(tmp_path: Path, strange: Any) -> None:
    bundle, record = forgery().write(tmp_path / "bundle"), tmp_path / "checked.json"
    for content in (strange, {"0": strange}, {"0": [strange, strange]}):
        record.write_text(json.dumps(content))
        verdict = verify_bundle(bundle, trust(), resume=record)
        assert (verdict.word, verdict.leaves_hashed) == ("verified", 7)
    record.write_text("[" * 100_000)
    assert verify_bundle(bundle, trust(), resume=record).word == "verified"


def test_malformed_request_to_a_witness_is_answered_with_400(tmp_path: Path) -> None:
    signer = Signer.generate("witness.example/a", COSIGNATURE)
    keys = KeyChain.of(VerifierKey.parse(KEY.vkey))
    witness = Witness(signer, {ORIGIN: keys}, WitnessState(tmp_path / "seen"))
    good = head(ORIGIN, HASHES, KEY)
    huge = note(f"{ORIGIN}\n{10**18}\n{b64(mth(HASHES))}\n", KEY)
    for body, status in (
        (f"old -1\n\n{good}", 400),
        (f"old 01\n\n{good}", 400),
        (f"old {'9' * 5000}\n\n{good}", 400),
        (f"old 8\n\n{good}", 400),
        (f"old True\n\n{good}", 400),
        (f"old 0\n{b64(bytes(31))}\n\n{good}", 400),
        (f"old 0\n{b64(bytes(32))}\n\n{good}", 422),
        ("old 0\n" + f"{b64(bytes(32))}\n" * 64 + f"\n{good}", 400),
        (f"old 0\n\n{good.replace(chr(10) + '7', chr(10) + '-7')}", 400),
        (f"old 0\n\n{good}\ud800", 400),
        (f"old 1\n\n{huge}", 409),
    ):
        assert witness.add_checkpoint(body).status == status, body[:40]
    assert witness.add_checkpoint(f"old 0\n\n{good}").status == 200
