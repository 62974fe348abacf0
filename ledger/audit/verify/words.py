"""A verdict as a document for programs, and as a headline with its lines for people."""

from __future__ import annotations

from typing import Any

from languages.choice import Language
from languages.texts import N_, translated
from ledger.audit.verify.receipts import ReceiptVerdict
from ledger.audit.verify.verdict import Finding, Verdict
from ledger.counts import counted


def document(verdict: Verdict | ReceiptVerdict) -> dict[str, Any]:
    """The verdict as a JSON value, without the name of the checked file."""
    result: dict[str, Any] = {"verdict": verdict.word, "anchor": verdict.anchor}
    if isinstance(verdict, Verdict):
        result |= {
            "timestamp": verdict.timestamp,
            "origin": verdict.origin,
            "size": verdict.size,
            "root": verdict.root.hex(),
            "leaves_hashed": verdict.leaves_hashed,
            "archived": verdict.first_entry,
        }
    else:
        result |= {
            "index": verdict.index,
            "entry": verdict.event,
            "origin": verdict.origin,
            "size": verdict.size,
        }
    return result | {
        "findings": [_finding(one) for one in verdict.findings],
        "held_elsewhere": list(verdict.held_elsewhere),
        "remarks": list(verdict.remarks),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {"code": finding.code, "message": finding.message, "file": finding.file, "entry": finding.entry}


def whole_lines(verdict: Verdict, language: Language) -> list[str]:
    """The verdict's lines under a headline. The headline claims no more than the lines."""
    before = verdict.first_entry
    archived = counted(before, "entry before is archived and was", "entries before are archived and were")
    headline = {
        "verified": N_("Verified against the trust file."),
        "verified in part": N_(
            "Verified against the trust file from entry {before} on; the {archived} NOT re-hashed."
        ),
        "self-consistent only": N_(
            "Self-consistent only: nothing contradicts itself, and an operator who rebuilt everything would reach that too. "
            "Check again with --trust."
        ),
        "failed": N_("FAILED: this is not the record that was signed."),
    }[verdict.word]
    lines = [translated(headline, language, before=before, archived=archived)]
    if wrong := [finding.entry for finding in verdict.findings if finding.entry is not None]:
        lines.append(translated("First wrong entry: {wrong}", language, wrong=min(wrong)))
    return [*lines, *verdict.lines(language)]
