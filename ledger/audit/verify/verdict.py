"""What a verification says: the verdict, in words chosen not to claim more than was checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ledger.visible import visible

Word = Literal["verified", "verified in part", "self-consistent only", "failed"]
AnchorWord = Literal["anchor checked", "anchor not checked"]
TimestampWord = Literal["timestamp checked", "timestamp not checked", "no timestamp"]


NOTHING_ELSEWHERE = "  signed by the pinned key; nothing held elsewhere excludes a rewrite by its holder"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: a stable code, a sentence, the file, and the first entry concerned."""

    code: str
    message: str
    file: str | None = None
    entry: int | None = None

    def __str__(self) -> str:
        place = f" ({self.file})" if self.file else ""
        return f"{self.message}{place} [{self.code}]"


class Tampered(Exception):
    """Carries a finding from where it is made to where the verdict is written; never leaves this package."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def tampered(code: str, message: str, file: str | None = None, entry: int | None = None) -> Tampered:
    """Shorthand for raising a finding."""
    return Tampered(Finding(code, message, file, entry))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome over a whole log.

    ``word`` is *verified* only when a trust file was given, everything it pins matched and every entry was re-hashed;
    *verified in part* when the entries before ``first_entry`` are archived and proven to be. *self-consistent only*
    means that nothing contradicts itself, which an operator who rebuilt everything would reach as well.
    ``held_elsewhere`` names what, outside the operator's reach, this log was matched with: witnesses, pinned
    heads, blocks, timestamps. Where it is empty, the holder of the log's key could still have rewritten the log.
    """

    word: Word
    origin: str
    size: int
    root: bytes
    leaves_hashed: int
    anchor: AnchorWord
    findings: tuple[Finding, ...] = ()
    held_elsewhere: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())
    timestamp: TimestampWord = "no timestamp"
    first_entry: int = 0

    @property
    def ok(self) -> bool:
        return self.word != "failed"

    @property
    def whole(self) -> bool:
        """Whether nothing was left out: it holds, and no entry is archived."""
        return self.ok and not self.first_entry

    def lines(self) -> list[str]:
        """The verdict as text, a line each."""
        stamped = "" if self.timestamp == "no timestamp" else f"; {self.timestamp}"
        said = [f"{self.word}; {self.anchor}{stamped}"]
        said += [f"  wrong: {finding}" for finding in self.findings]
        if self.ok:
            said.append(f"  log {self.origin}, {self.size} entries, {self.leaves_hashed} of them re-hashed")
            said += [f"  matched with {what}" for what in self.held_elsewhere]
            if self.word.startswith("verified") and not self.held_elsewhere:
                said.append(NOTHING_ELSEWHERE)
        said += [f"  note: {remark}" for remark in self.remarks]
        return [visible(line) for line in said]
