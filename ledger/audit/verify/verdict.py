"""What a verification says: the verdict, in words chosen not to claim more than was checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from languages.choice import Language
from languages.texts import N_, NP_, Bilingual, in_both, translated
from ledger.counts import counted
from ledger.visible import visible

Word = Literal["verified", "verified in part", "self-consistent only", "failed"]
AnchorWord = Literal["anchor checked", "anchor not checked"]
TimestampWord = Literal["timestamp checked", "timestamp not checked", "no timestamp"]


NOTHING_ELSEWHERE = N_("  signed by the pinned key; nothing held elsewhere excludes a rewrite by its holder")


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

    def lines(self, language: Language = "en") -> list[str]:
        """The verdict as text, a line each. Findings, remarks and what was matched are English in every language."""
        return verdict_lines(
            [self.word, self.anchor, *([] if self.timestamp == "no timestamp" else [self.timestamp])],
            translated(
                "  log {origin}, {entries}, {hashed} of them re-hashed",
                language,
                origin=self.origin,
                entries=counted(self.size, "entry", "entries"),
                hashed=self.leaves_hashed,
            ),
            self,
            language,
        )


class Told(Protocol):
    """What every verdict has."""

    @property
    def word(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def findings(self) -> tuple[Finding, ...]: ...
    @property
    def held_elsewhere(self) -> tuple[str, ...]: ...
    @property
    def remarks(self) -> tuple[str, ...]: ...


WORDS = (
    N_("verified"),
    N_("verified in part"),
    N_("self-consistent only"),
    N_("failed"),
    N_("anchor checked"),
    N_("anchor not checked"),
    N_("timestamp checked"),
    N_("timestamp not checked"),
)
"""Every word of a verdict's first line."""


MATCHED = NP_("translated", "  matched with {it}")
NOTED = NP_("translated", "  note: {it}")
"""The same lines about what is known in both languages; the others say in Chinese that it is in English."""


def pinned_head(size: int) -> Bilingual:
    """What a log was matched with: a head of this size that somebody pinned."""
    return in_both("the pinned head of size {size}", size=size)


def verdict_lines(words: Sequence[str], about: str, verdict: Told, language: Language) -> list[str]:
    """A verdict as text: its words, what is wrong, what it is about and was matched with, and remarks. It claims in no language
    more than in the other."""

    def each(text: str, things: Iterable[object], known: str = "") -> Iterator[str]:
        for thing in things:
            yield translated(known if isinstance(thing, Bilingual) else text, language, it=thing)

    said = [translated("; ", language).join(translated(word, language) for word in words)]
    said += each(N_("  wrong: {it}"), verdict.findings)
    if verdict.ok:
        said.append(about)
        said += each(N_("  matched with {it}"), verdict.held_elsewhere, MATCHED)
        if verdict.word.startswith("verified") and not verdict.held_elsewhere:
            said.append(translated(NOTHING_ELSEWHERE, language))
    said += each(N_("  note: {it}"), verdict.remarks, NOTED)
    return [visible(line) for line in said]
