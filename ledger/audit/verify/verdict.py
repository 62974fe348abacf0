"""The verdict of a verification. Its words claim no more than was checked."""

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
    """One fault: a stable code, a sentence, the file, and the index of the first entry concerned."""

    code: str
    message: str
    file: str | None = None
    entry: int | None = None

    def __str__(self) -> str:
        place = f" ({self.file})" if self.file else ""
        return f"{self.message}{place} [{self.code}]"


class Tampered(Exception):
    """Ends a check with a finding. The functions that return a verdict catch it, so callers never see it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def tampered(code: str, message: str, file: str | None = None, entry: int | None = None) -> Tampered:
    """The exception for a finding with these values."""
    return Tampered(Finding(code, message, file, entry))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of verifying a whole log.

    ``word`` is *verified* only when a trust file was given, all its pins match, and every entry was hashed; *verified in
    part* when the entries before ``first_entry`` are archived and this is proven. *self-consistent only* means that the
    log has no contradiction; an operator who rebuilt the whole log would get this word too. ``held_elsewhere`` names the
    matched values that the operator does not control: witnesses, pinned heads, blocks, timestamps. When it is empty, the
    holder of the log's key could have rewritten the log.
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
        """Whether the log passed and no entry is archived."""
        return self.ok and not self.first_entry

    def lines(self, language: Language = "en") -> list[str]:
        """The lines of the verdict. Findings, remarks and matches are in English in every language."""
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


class AnyVerdict(Protocol):
    """The common attributes of `Verdict` and `ReceiptVerdict`."""

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
"""Every word that the first line of a verdict can have."""


MATCHED = NP_("translated", "  matched with {it}")
NOTED = NP_("translated", "  note: {it}")
"""Lines whose content exists in both languages. The Chinese form of the other lines says that the content is English."""


def pinned_head(size: int) -> Bilingual:
    """The text of a match with a pinned head of this size."""
    return in_both("the pinned head of size {size}", size=size)


def verdict_lines(words: Sequence[str], about: str, verdict: AnyVerdict, language: Language) -> list[str]:
    """The lines of a verdict: its words, ``about``, findings, matches and remarks. Both languages claim the same."""

    def each(text: str, things: Iterable[object], known: str = "") -> Iterator[str]:
        for thing in things:
            yield translated(known if isinstance(thing, Bilingual) else text, language, it=thing)

    lines = [translated("; ", language).join(translated(word, language) for word in words)]
    lines += each(N_("  wrong: {it}"), verdict.findings)
    if verdict.ok:
        lines.append(about)
        lines += each(N_("  matched with {it}"), verdict.held_elsewhere, MATCHED)
        if verdict.word.startswith("verified") and not verdict.held_elsewhere:
            lines.append(translated(NOTHING_ELSEWHERE, language))
    lines += each(N_("  note: {it}"), verdict.remarks, NOTED)
    return [visible(line) for line in lines]
