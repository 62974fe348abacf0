"""The signers of a head: the pinned key and its successors by hand-over, each for its own sizes, and no other
key.

The forgeries are built by hand from docs/audit.md (`by_hand.py`): an outsider without any key can make them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api.sdk.errors import AnswerRefused, RollbackDetected
from api.sdk.memory import CheckpointMemory
from api.witness import open_witness
from ledger.audit.formats.checkpoint import Head
from ledger.audit.formats.note import VerifierKey
from ledger.audit.keeping.export import export_bundle
from ledger.audit.keeping.keys import rotate_key
from ledger.audit.log.log import AuditLog
from ledger.audit.outside.witness import Witness, WitnessState
from ledger.audit.verify import Trust, Verdict, verify_bundle
from ledger.audit.verify.keychain import KeyChain, read_chain
from ledger.audit.verify.receipts import verify_receipt
from ledger.audit.verify.tiles import verify_tiles
from tests.ledger.audit.by_hand import Forgery, Key, b64, chain, h, handover, head, mth, subproof
from tests.ledger.audit.conftest import ORIGIN as PLACE

ORIGIN = str(PLACE)
OTHER = ORIGIN[:-1] + "2"
REAL = [b'{"entry":%d,"type":"gateway:read:decided","v":1}' % n for n in range(7)]
FORGED = [*REAL, b'{"entry":"forged","type":"gateway:read:decided","v":1}']


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def trust(key: Key, **more: Any) -> Trust:
    return Trust(
        origin=ORIGIN,
        log_key=VerifierKey.parse(key.vkey),
        chain_id=PLACE.chain_id,
        ledger_contract="0x" + "1e" * 20,
        anchor_contract=PLACE.contract,
        **more,
    )


def codes(verdict: Verdict) -> list[str]:
    return [finding.code for finding in verdict.findings]


def both_refuse(forgery: Forgery, pinned: Trust, folder: Path, *expected: str) -> None:
    """Neither the bundle nor a receipt of its last entry is called verified."""
    verdict = verify_bundle(forgery.write(folder / "forged"), pinned)
    assert verdict.word == "failed", verdict.lines()
    assert codes(verdict)[0] in expected, verdict.lines()
    receipt = verify_receipt(forgery.receipt(len(forgery.leaves) - 1), pinned)
    assert receipt.word == "failed", receipt.lines()


def test_the_hand_built_bundle_of_the_real_key_is_verified(tmp_path: Path) -> None:
    """A valid bundle verifies; otherwise the refusals below would prove nothing."""
    pinned = Key(ORIGIN)
    good = Forgery(ORIGIN, REAL, chain(ORIGIN, (pinned, 0)), (pinned,), [(3, (pinned,))])
    assert verify_bundle(good.write(tmp_path / "good"), trust(pinned)).word == "verified"
    assert verify_receipt(good.receipt(6), trust(pinned)).word == "verified"


def test_predecessor_of_the_pinned_key_is_not_trusted(tmp_path: Path) -> None:
    """The attacker has only the public trust file; even seven pinned heads would not help the auditor
    otherwise."""
    stranger, pinned = Key(ORIGIN), Key(ORIGIN)
    hashes = [h(0, leaf) for leaf in FORGED]
    pins = tuple(Head(size, mth(hashes[:size])) for size in range(1, 8))
    for at in (len(FORGED), len(FORGED) - 1, 1, 0):
        forgery = Forgery(ORIGIN, FORGED, chain(ORIGIN, (stranger, 0), (pinned, at)), (stranger,))
        both_refuse(forgery, trust(pinned, pins=pins), tmp_path, "trust.key", "checkpoint.signature")


def test_pinned_key_does_not_authenticate_earlier_keys(tmp_path: Path) -> None:
    """Two foreign keys in a row, of which the second hands over to the pinned key, which hands over to no
    key."""
    one, two, pinned = Key(ORIGIN), Key(ORIGIN), Key(ORIGIN)
    keys = chain(ORIGIN, (one, 0), (two, 2), (pinned, len(FORGED)))
    both_refuse(Forgery(ORIGIN, FORGED, keys, (two,)), trust(pinned), tmp_path, "trust.key")
    both_refuse(Forgery(ORIGIN, FORGED, keys, (one,)), trust(pinned), tmp_path, "checkpoint.signature")


def test_other_key_needs_a_handover_from_the_pinned_one(tmp_path: Path) -> None:
    stranger, pinned = Key(ORIGIN), Key(ORIGIN)
    claimed = chain(ORIGIN, (pinned, 0), (stranger, 3))
    claimed[1]["handover"] = handover(ORIGIN, stranger, stranger, 3)
    for keys in (
        claimed,  # The foreign key hands over to itself.
        chain(ORIGIN, (stranger, 0)),  # The pinned key is missing.
        [*chain(ORIGIN, (pinned, 0)), *chain(ORIGIN, (stranger, 0))],  # Two first keys.
        [*chain(ORIGIN, (stranger, 0)), *chain(ORIGIN, (pinned, 0))],
    ):
        both_refuse(
            Forgery(ORIGIN, FORGED, keys, (stranger,)), trust(pinned), tmp_path, "key.changed", "trust.key"
        )


def test_a_loop_a_repetition_or_a_disorder_of_keys_is_refused(tmp_path: Path) -> None:
    one, pinned, two = Key(ORIGIN), Key(ORIGIN), Key(ORIGIN)
    size = len(FORGED)
    for keys in (
        chain(ORIGIN, (pinned, 0), (one, 3), (pinned, size)),
        chain(ORIGIN, (one, 0), (pinned, 3), (one, size)),
        chain(ORIGIN, (pinned, 0), (pinned, 3)),
        chain(ORIGIN, (pinned, 0), (one, 5), (two, 3)),
        chain(ORIGIN, (pinned, 0), (one, 3), (two, 3)),
        chain(ORIGIN, (pinned, 0), (one, size + 1)),
        chain(ORIGIN, (pinned, 0), (one, -1)),
        chain(ORIGIN, (pinned, 1), (one, 3)),
        chain(ORIGIN, (pinned, 0), (one, 3))[::-1],
        [],
    ):
        both_refuse(Forgery(ORIGIN, FORGED, keys, (one,)), trust(pinned), tmp_path, "key.changed")


def test_handover_with_another_origin_or_text_is_refused(tmp_path: Path) -> None:
    pinned, stranger, foreign = Key(ORIGIN), Key(ORIGIN), Key(OTHER)
    links = [(pinned, 0), (stranger, 3)]
    of_other = chain(ORIGIN, *links)
    of_other[1]["handover"] = handover(OTHER, pinned, stranger, 3)
    at_other = chain(ORIGIN, *links)
    at_other[1]["handover"] = handover(ORIGIN, pinned, stranger, 4)
    doubled = chain(ORIGIN, *links)
    doubled[1]["handover"] += stranger.line("x\n")
    true_size: list[dict[str, Any]] = chain(ORIGIN, *links)
    true_size[1]["from_size"] = True
    for keys in (of_other, at_other, doubled, true_size, chain(ORIGIN, (foreign, 0), (pinned, 3))):
        forgery = Forgery(ORIGIN, FORGED, keys, (stranger,))
        both_refuse(forgery, trust(pinned), tmp_path, "key.changed")


def test_a_retired_key_signs_no_head_after_its_rotation(tmp_path: Path) -> None:
    old, new = Key(ORIGIN), Key(ORIGIN)
    keys = chain(ORIGIN, (old, 0), (new, 4))
    for signers in ((old,), (new, old)):
        forgery = Forgery(ORIGIN, FORGED, keys, signers)
        for pinned in (old, new):
            verdict = verify_bundle(forgery.write(tmp_path / "retired"), trust(pinned))
            assert codes(verdict) == ["checkpoint.signature"]
    for pinned in (old, new):
        forgery = Forgery(ORIGIN, FORGED, keys, (old,))
        both_refuse(forgery, trust(pinned), tmp_path, "checkpoint.signature")
    early = Forgery(ORIGIN, REAL, keys, (new,), [(3, (new,))])
    assert codes(verify_bundle(early.write(tmp_path / "early"), trust(old))) == ["checkpoint.signature"]
    late = Forgery(ORIGIN, REAL, keys, (new,), [(5, (old,))])
    assert codes(verify_bundle(late.write(tmp_path / "late"), trust(old))) == ["checkpoint.signature"]


def test_at_the_size_of_a_rotation_both_keys_sign(tmp_path: Path) -> None:
    old, new = Key(ORIGIN), Key(ORIGIN)
    at = len(REAL)
    keys = chain(ORIGIN, (old, 0), (new, at))
    for signers in ((old,), (new,), (old, new)):
        bundle = Forgery(ORIGIN, REAL, keys, signers, [(3, (old,))])
        assert verify_bundle(bundle.write(tmp_path / "both"), trust(old)).word == "verified"
        verdict = verify_bundle(tmp_path / "both", trust(new))
        assert verdict.word == ("verified" if new in signers else "failed")
    assert any("not authenticated" in remark for remark in verdict.remarks)
    assert any("1 earlier head" in remark for remark in verdict.remarks)


def test_a_trust_file_of_any_true_key_verifies_what_the_last_one_signed(
    log: AuditLog, make: Any, trust_of: Any, tmp_path: Path
) -> None:
    """A log of the product with two rotations: the trust file may be from before, between or after them."""
    from ledger.audit.formats.note import Signer
    from ledger.audit.log.publish import publish

    def append(to: AuditLog, count: int) -> None:
        with to.engine.begin() as conn:
            done = to.append(conn, [make.entry() for _ in range(count)])
        to.committed(done)
        publish(to, to.checkpoint())

    append(log, 5)
    early, middle = log.checkpoint(), rotate_key(log, Signer.generate(ORIGIN))
    append(middle, 4)
    last = rotate_key(middle, Signer.generate(ORIGIN))
    append(last, 3)
    export_bundle(last, tmp_path / "bundle")
    export_bundle(last, tmp_path / "early", checkpoint=early)
    for key_of in (log, middle, last):
        verdict = verify_bundle(tmp_path / "bundle", trust_of(key_of))
        assert verdict.word == "verified", verdict.lines()
        # Rotations have the machine's time, the other entries a simulated time.
        of_keys = [remark for remark in verdict.remarks if not remark.startswith("times fall")]
        assert bool(of_keys) == (key_of is not log)
        assert verify_receipt(last.receipt(2), trust_of(key_of)).ok
    # Under a head from before the rotation only the key of that time is listed, and only it verifies.
    assert verify_bundle(tmp_path / "early", trust_of(log)).word == "verified"
    assert verify_bundle(tmp_path / "early", trust_of(last)).word == "failed"
    assert verify_receipt(last.receipt(2, early), trust_of(log)).ok


def test_a_log_that_changed_its_key_while_empty_verifies(
    log: AuditLog, trust_of: Any, tmp_path: Path
) -> None:
    from ledger.audit.formats.note import Signer

    new = rotate_key(log, Signer.generate(ORIGIN))
    export_bundle(new, tmp_path / "bundle")
    assert verify_bundle(tmp_path / "bundle", trust_of(log)).word == "verified"


def test_tiles_signed_by_a_stranger_are_not_verified(tmp_path: Path) -> None:
    stranger, pinned = Key(ORIGIN), Key(ORIGIN)
    hashes = [h(0, leaf) for leaf in FORGED]
    held = {
        "checkpoint": head(ORIGIN, hashes, stranger).encode(),
        f"tile/0/000.p/{len(FORGED)}": b"".join(hashes),
        f"tile/entries/000.p/{len(FORGED)}": b"".join(len(x).to_bytes(2, "big") + x for x in FORGED),
    }
    assert codes(verify_tiles(held.__getitem__, trust(pinned))) == ["trust.key"]
    held["checkpoint"] = head(ORIGIN, hashes, pinned, stranger).encode()
    assert verify_tiles(held.__getitem__, trust(pinned)).word == "verified"


def test_a_witness_cosigns_for_keys_in_force_alone(tmp_path: Path) -> None:
    from ledger.audit.formats.note import COSIGNATURE, Signer

    stranger, old, new = Key(ORIGIN), Key(ORIGIN), Key(ORIGIN)
    whole = read_chain(chain(ORIGIN, (stranger, 0), (old, 0), (new, 4)), ORIGIN, 100)
    keys = whole.since(VerifierKey.parse(old.vkey))
    assert keys is not None
    signer = Signer.generate("witness.example/a", COSIGNATURE)
    witness = Witness(signer, {ORIGIN: keys}, WitnessState(tmp_path / "seen"))
    hashes = [h(0, leaf) for leaf in REAL]

    def ask(before: int, size: int, *signers: Key) -> int:
        proof = [b64(one) for one in subproof(before, hashes[:size])] if before else []
        body = "\n".join([f"old {before}", *proof, "", head(ORIGIN, hashes[:size], *signers)])
        return witness.add_checkpoint(body).status

    assert ask(0, 3, stranger) == 403
    assert ask(0, 3, new) == 403
    assert ask(0, 5, old) == 403
    assert ask(0, 3, old) == 200
    assert ask(3, 6, old) == 403
    assert ask(3, 6, new) == 200


def test_witness_configuration_accepts_a_rotation_of_the_pinned_key(tmp_path: Path) -> None:
    from api.protocol.errors import ProfileError
    from api.protocol.keystore import create_key

    stranger, old, new = Key(ORIGIN), Key(ORIGIN), Key(ORIGIN)
    create_key(tmp_path / "keys/witness.json", "witness", "correct horse battery", label="w")

    def configured(*items: Any) -> Witness:
        document = {"name": "witness.example/w", "logs": {ORIGIN: list(items)}}
        (tmp_path / "witness.json").write_text(json.dumps(document))
        return open_witness(tmp_path, "correct horse battery")

    hashes = [h(0, leaf) for leaf in REAL]
    request = str("\n".join(["old 0", "", head(ORIGIN, hashes, new)]))
    assert configured(old.vkey).add_checkpoint(request).status == 403
    keys = chain(ORIGIN, (stranger, 0), (old, 1), (new, 4))
    assert configured(old.vkey, *keys).add_checkpoint(request).status == 200
    for bad in ([], [7], [Key(ORIGIN).vkey, *keys], [old.vkey, stranger.vkey], [old.vkey, *keys[::-1]]):
        with pytest.raises(ProfileError):
            configured(*bad)


def test_a_client_follows_a_rotation_and_refuses_the_old_key_from_then_on(tmp_path: Path) -> None:
    stranger, old, new = Key(ORIGIN), Key(ORIGIN), Key(ORIGIN)
    hashes = [h(0, leaf) for leaf in FORGED]
    memory = CheckpointMemory(tmp_path, VerifierKey.parse(old.vkey))

    def proof(before: int, size: int) -> list[bytes]:
        return subproof(before, hashes[:size])

    def accept(size: int, signer: Key, *links: tuple[Key, int]) -> int:
        note = head(ORIGIN, hashes[:size], signer)
        return memory.accept(note, proof, keys=chain(ORIGIN, *links)).size

    for links in ([], [(stranger, 0)], [(stranger, 0), (old, 3)]):
        with pytest.raises(AnswerRefused):
            accept(3, stranger, *links)
    assert accept(3, old, (old, 0)) == 3
    assert accept(6, new, (old, 0), (new, 4)) == 6
    with pytest.raises(AnswerRefused):
        accept(7, old)
    with pytest.raises(RollbackDetected):
        accept(7, stranger, (old, 0), (stranger, 5))
    assert accept(7, new) == 7, "known keys need not be told again"
    memory = CheckpointMemory(tmp_path, VerifierKey.parse(old.vkey))
    assert memory.seen is not None
    assert memory.seen.size == 7
    with pytest.raises(AnswerRefused):
        accept(8, old)
    assert accept(8, new, (old, 0), (new, 4)) == 8
    assert accept(2, old, (old, 0)) == 2, "an older head under the key of its time"
    [file] = tmp_path.glob("*.keys.json")
    file.write_text("[]")
    with pytest.raises(AnswerRefused):
        CheckpointMemory(tmp_path, VerifierKey.parse(old.vkey))


def test_sizes_of_keys_in_force() -> None:
    one, two, three = Key(ORIGIN), Key(ORIGIN), Key(ORIGIN)
    keys = read_chain(chain(ORIGIN, (one, 0), (two, 4), (three, 9)), ORIGIN, 20)

    def names(size: int) -> list[str]:
        return [str(key) for key in keys.in_force(size)]

    assert names(0) == names(3) == [one.vkey]
    assert names(4) == [one.vkey, two.vkey]
    assert names(5) == names(8) == [two.vkey]
    assert names(9) == [two.vkey, three.vkey]
    assert names(10) == names(10**12) == [three.vkey]
    later = keys.since(VerifierKey.parse(two.vkey))
    assert later is not None
    assert later.in_force(3) == []
    assert keys.since(VerifierKey.parse(Key(ORIGIN).vkey)) is None
    assert keys.continues(KeyChain.of(VerifierKey.parse(one.vkey)))
