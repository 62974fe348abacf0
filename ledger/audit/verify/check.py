"""Verification of a bundle with a trust file; the result is a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ledger.audit.formats.checkpoint import Head
from ledger.audit.verify.acts import ACTS, check_acts, missing_acts
from ledger.audit.verify.anchors import AnchorOutcome, check_anchors
from ledger.audit.verify.authority import Authority
from ledger.audit.verify.bundle import CHECKPOINT, MANIFEST, Bundle, read_bundle
from ledger.audit.verify.keychain import KeyChain
from ledger.audit.verify.leaves import Progress, Reading, first_departure, read_leaves
from ledger.audit.verify.resume import Resume
from ledger.audit.verify.source import open_files
from ledger.audit.verify.timestamps import check_timestamps
from ledger.audit.verify.trust import Trust
from ledger.audit.verify.verdict import (
    AnchorWord,
    Finding,
    Tampered,
    TimestampWord,
    Verdict,
    Word,
    pinned_head,
    tampered,
)
from ledger.counts import counted


def compare_bundles(
    older: Path | str,
    newer: Path | str,
    trust: Trust | Path | str | None = None,
    progress: Progress | None = None,
    *,
    resume: Path | None = None,
) -> Verdict:
    """Check that a later bundle of a log extends an earlier one.

    Returns the verdict over the later bundle, with the head of the earlier one pinned; if the earlier bundle fails,
    the verdict over that one. ``resume`` is used for the later bundle.
    """
    before = verify_bundle(older)
    if not before.ok:
        return before
    pins = [Head(before.size, before.root)]
    after = verify_bundle(newer, trust, progress, pins=pins, resume=resume)
    if after.ok and after.origin != before.origin:
        finding = Finding("trust.origin", f"the bundles are of two logs: {before.origin} and {after.origin}")
        return replace(after, word="failed", findings=(finding,))
    return after


@dataclass(slots=True)
class _Report:
    """The findings, matches and remarks so far."""

    findings: list[Finding] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def wrong(self, code: str, message: str, file: str | None = None, entry: int | None = None) -> None:
        self.findings.append(Finding(code, message, file, entry))


def verify_bundle(
    path: Path | str,
    trust: Trust | Path | str | None = None,
    progress: Progress | None = None,
    *,
    pins: Sequence[Head] = (),
    resume: Path | None = None,
) -> Verdict:
    """Check every byte of a bundle; with a trust file, also against the keys, heads and blocks that it pins.

    ``progress(done, total)`` is called as leaves are hashed, with numbers of leaves. ``pins`` are further heads that the
    log must contain. ``resume`` is a file in which the check records its progress, so that an interrupted check can
    continue. Raises `TrustInvalid` for an unusable trust file; faults of the bundle are in the verdict.
    """
    pinned = trust if isinstance(trust, Trust) or trust is None else Trust.load(Path(trust))
    report = _Report()
    try:
        bundle = read_bundle(open_files(Path(path)))
    except Tampered as stop:
        return Verdict("failed", "", 0, b"", 0, "anchor not checked", (stop.finding,))
    kept = [*pins, *(pinned.pins if pinned else ())]
    wanted = {head.size for head in [*bundle.heads, *kept]} | {bundle.first_entry}
    wanted |= {anchor["size"] for anchor in bundle.anchors if type(anchor.get("size")) is int}
    record = Resume(resume) if resume else None
    hashed = 0
    anchor: AnchorWord = "anchor not checked"
    stamped: TimestampWord = "timestamp not checked" if bundle.timestamps else "no timestamp"
    try:
        authority = Authority()
        reading = read_leaves(bundle.chunks(record), sorted(wanted), bundle.size, progress, record, authority)
        hashed = reading.hashed
        report.remarks.extend(reading.remarks)
        _judge_leaves(bundle, reading, report)
        if not report.findings:
            outcome = check_anchors(bundle, reading.entries.roots, pinned)
            anchor = _judge_anchor(outcome, report)
            stamps = check_timestamps(bundle, pinned)
            stamped = stamps.word
            report.elsewhere.extend(stamps.matched)
            report.remarks.extend(stamps.remarks)
            report.findings.extend(authority.findings)
            report.remarks.extend(_judge_acts(bundle, authority, pinned))
    except Tampered as stop:
        report.findings.append(stop.finding)
    else:
        if pinned is not None:
            _judge_trust(bundle, pinned, report)
        for pin in sorted(kept, key=lambda head: head.size):
            _judge_pin(bundle, reading.entries.roots, pin, report)
        if bundle.first_entry:
            _judge_archive(bundle, reading.entries.roots, pinned, report)
        report.remarks.extend(authority.remarks)
    return Verdict(
        _word(bundle, pinned, report),
        bundle.origin,
        bundle.size,
        bundle.checkpoint.root,
        hashed,
        anchor,
        tuple(report.findings),
        tuple(report.elsewhere),
        tuple(report.remarks),
        stamped,
        bundle.first_entry,
    )


def _word(bundle: Bundle, trust: Trust | None, report: _Report) -> Word:
    if report.findings:
        return "failed"
    if trust is None:
        return "self-consistent only"
    return "verified in part" if bundle.first_entry else "verified"


def _judge_leaves(bundle: Bundle, reading: Reading, report: _Report) -> None:
    signed = bundle.checkpoint.root
    by_entries, by_hashes = reading.entries.root == signed, reading.stored.root == signed
    if reading.mismatch is None and by_entries:
        for head in bundle.heads:
            if reading.entries.roots.get(head.size) != head.root:
                report.wrong(
                    "checkpoint.fork", f"the signed head of size {head.size} is not of this log", CHECKPOINT
                )
        return
    if reading.mismatch is not None and by_hashes:
        report.findings.append(reading.mismatch)
        return
    if by_entries and reading.mismatch_file is not None:
        report.findings.append(reading.mismatch_file)
        return
    equal, different = first_departure(reading.entries, bundle.heads)
    until = "its end" if different is None else f"entry {different}"
    report.wrong(
        "entries.rewritten",
        f"entries and their hashes were rewritten together between entry {equal} and {until}:"
        " they do not lead to the signed root",
        entry=reading.mismatch.entry if reading.mismatch else equal,
    )


def _judge_anchor(outcome: AnchorOutcome, report: _Report) -> AnchorWord:
    report.elsewhere.extend(outcome.matched)
    report.remarks.extend(outcome.remarks)
    return "anchor checked" if outcome.matched else "anchor not checked"


def _judge_acts(bundle: Bundle, authority: Authority, trust: Trust | None) -> list[str]:
    if bundle.acts is None:
        return missing_acts(authority.acts, ())
    keys = bundle.keys if trust is None else bundle.keys.since(trust.log_key)
    if keys is not None and not keys.signed(bundle.acts, bundle.size):
        raise tampered(
            "acts.changed", "the acts are signed by a key that the pinned one does not lead to", ACTS
        )
    return check_acts(bundle.act_lines(), authority.acts, bundle.acts.text, bundle.checkpoint.checkpoint)


def _judge_trust(bundle: Bundle, trust: Trust, report: _Report) -> None:
    if bundle.origin != trust.origin:
        report.wrong(
            "trust.origin",
            f"the bundle is of the log {bundle.origin}, the trust file of {trust.origin}",
            CHECKPOINT,
        )
        return
    keys = bundle.keys.since(trust.log_key)
    if keys is None:
        report.wrong(
            "trust.key", "the log was signed with another key than the pinned one: re-forged", CHECKPOINT
        )
    elif not keys.signed(bundle.checkpoint.note, bundle.size):
        report.wrong(
            "trust.key",
            "the last head is signed by a key that only claims to have handed over to the pinned one: re-forged",
            CHECKPOINT,
        )
    else:
        report.remarks.extend(_earlier_keys(bundle, keys))
    cosigned = bundle.checkpoint.cosigned_by([key for key in trust.witnesses if key in bundle.witnesses])
    if len(cosigned) < trust.quorum:
        report.wrong(
            "trust.quorum",
            f"{len(cosigned)} of {counted(trust.quorum, 'required witness', 'required witnesses')} cosigned the checkpoint",
            CHECKPOINT,
        )
    elif cosigned:
        report.elsewhere.append("witnesses " + ", ".join(sorted(key.name for key in cosigned)))


def _judge_pin(bundle: Bundle, roots: dict[int, bytes], pin: Head, report: _Report) -> None:
    if pin.size > bundle.size:
        report.wrong(
            "trust.rollback",
            f"the bundle ends at {bundle.size}, but a head of size {pin.size} is pinned: cut off or rolled back",
            entry=bundle.size,
        )
    elif roots.get(pin.size) != pin.root:
        report.wrong(
            "trust.pin",
            f"the first {counted(pin.size, 'entry is not that', 'entries are not those')} of the pinned head: re-forged",
            entry=None,
        )
    elif pin.size:  # every log contains the head of size 0, so it proves nothing
        report.elsewhere.append(pinned_head(pin.size))


def _earlier_keys(bundle: Bundle, keys: KeyChain) -> list[str]:
    """The remark about keys before the pinned one: trust in the pinned key does not extend to them."""
    if len(keys.keys) == len(bundle.keys.keys):
        return []
    older = [signed for signed, _ in bundle.history if not keys.signed(signed.note, signed.size)]
    remark = (
        "keys listed before the pinned one are not authenticated by it: what came before is proven by its being"
        " contained in the last head"
    )
    return [
        f"{remark}; with {counted(len(older), 'earlier head')} which those keys signed" if older else remark
    ]


def _judge_archive(bundle: Bundle, roots: dict[int, bytes], trust: Trust | None, report: _Report) -> None:
    """Check that missing leaves are archived by a signed statement of the log, or by the auditor's trust file."""
    first = Head(bundle.first_entry, roots.get(bundle.first_entry, b""))
    keys = bundle.keys if trust is None else bundle.keys.since(trust.log_key)
    signed = bundle.archived is not None and keys is not None and keys.signed(bundle.archived, bundle.size)
    if signed or (trust is not None and first in trust.archived):
        report.remarks.append(
            f"entries 0 to {first.size - 1} are archived and were not re-hashed: only their hashes were checked"
        )
        return
    report.wrong(
        "archive.unproven",
        f"entries before {first.size} are missing, and nothing that can be relied on says that they are archived",
        MANIFEST,
        0,
    )
