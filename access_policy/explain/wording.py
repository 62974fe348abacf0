"""The explanation of a decision in English or Chinese, as data and as text, with or without the values of the call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from access_policy.decision.answers import CURRENT, Decision, Deny, Permit, Reason
from access_policy.decision.dutystate import FIRST_USE
from access_policy.decision.evaluation import CODES
from access_policy.explain.phrases import ABOVE, PHRASES, next_step, operator_words
from access_policy.terms.constraints import OPERATORS
from access_policy.terms.vocabulary import actions, duty_actions, legal_bases, purposes
from languages.choice import Language
from languages.moments import in_beijing, read_in_beijing
from languages.texts import N_, listed, translated

_STATES: dict[str, str] = {
    "fulfilled": N_("fulfilled"),
    "unfulfilled": N_("not fulfilled"),
    "pending": N_("to be done"),
}
_OPERAND_OF = {code: operand for operand, code in CODES.items()} | dict.fromkeys(
    ("grant.expired", "grant.not-yet-valid", "time.mismatch"), "dateTime"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of an explanation, with its code and the ids that it concerns."""

    code: str
    text: str
    advice: str | None = None
    grant: str | None = None
    rule: str | None = None
    constraint: str | None = None
    ancestor: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """An explanation: the outcome (``permit`` or ``deny``), a headline, and a line for each reason or bound."""

    outcome: str
    language: Language
    headline: str
    lines: tuple[Line, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        members = ("code", "text", "advice", "grant", "rule", "constraint", "ancestor")
        lines = [
            {m: getattr(line, m) for m in members if getattr(line, m) is not None} for line in self.lines
        ]
        return {"outcome": self.outcome, "language": self.language, "headline": self.headline, "lines": lines}

    def __str__(self) -> str:
        """The headline and the lines as one text."""
        return "\n".join(self.text_lines())

    def text_lines(self) -> list[str]:
        """The headline and the lines as texts."""
        return [
            self.headline,
            *(f"- {line.text}{' ' + line.advice if line.advice else ''}" for line in self.lines),
        ]


def explain(decision: Decision, language: Language = "en", *, redacted: bool = False) -> str:
    """The explanation of a decision as text. With ``redacted``, it contains no values of the call and of the terms."""
    return str(explanation(decision, language, redacted=redacted))


def explanation(decision: Decision, language: Language = "en", *, redacted: bool = False) -> Explanation:
    """The explanation of a decision as data. An unknown reason code is shown unchanged."""
    if isinstance(decision, Deny):
        lines = tuple(_refusal(r.redacted() if redacted else r, language) for r in decision.reasons)
        headline = translated("Refused.", language)
        return Explanation("deny", language, headline, lines)
    headline = translated("Permitted by grant {grant}.", language, grant=decision.grant)
    return Explanation("permit", language, headline, tuple(_bounds(decision, language, redacted)))


def _refusal(reason: Reason, language: Language) -> Line:
    code = reason.code
    if reason.ancestor is not None:
        code = code.replace("grant.ancestor-", "grant.")
    said = _said(reason, code, language)
    if reason.ancestor is not None:
        said = translated(ABOVE, language, grant=reason.ancestor, reason=said)
    advice = next_step(code)
    return Line(
        reason.code,
        said,
        translated(advice, language),
        reason.grant,
        reason.rule,
        reason.constraint,
        reason.ancestor,
    )


def _said(reason: Reason, code: str, language: Language) -> str:
    """The text of a code, with the values of the reason if it has all that the text needs."""
    if code not in PHRASES:
        return code
    with_values, without = PHRASES[code]
    needs = {name for name in ("seen", "wanted") if f"{{{name}}}" in with_values}
    if any(getattr(reason, name) is None for name in needs):
        return translated(without, language)
    return translated(with_values, language, seen=_seen(reason, language), wanted=_wanted(reason, language))


def _seen(reason: Reason, language: Language) -> str:
    if reason.code.startswith("version."):
        return _version(reason.seen or "", language)
    return _named(reason.seen or "", language)


def _wanted(reason: Reason, language: Language) -> str:
    return translated(" or ", language).join(
        _want(part, reason.code, language) for part in (reason.wanted or "").split(" or ")
    )


def _want(text: str, code: str, language: Language) -> str:
    """A wanted value such as ``isA dpv:Marketing`` in words; a text without an operator is a list of names."""
    operator, _, rest = text.partition(" ")
    if text == CURRENT:
        return _version(text, language)
    if operator not in OPERATORS:
        return _named(text, language)
    words = operator_words(_OPERAND_OF.get(code, ""), operator)
    return translated(words, language, values=_named(rest, language))


def _named(text: str, language: Language) -> str:
    """A list of terms with their labels; other texts are unchanged."""
    comma = translated(", ", language)
    return comma.join(_label(part, language) for part in text.split(", "))


def _label(term: str, language: Language) -> str:
    if term == FIRST_USE:
        return translated("the instant of the first use", language)
    for scheme in (purposes(), legal_bases(), actions(), duty_actions()):
        if term in scheme:
            return scheme.label(term, language)
    return read_in_beijing(term) if language == "zh" else term


def _version(text: str, language: Language) -> str:
    """``2 of 4`` (a version and the current one), ``2``, or `CURRENT` in words."""
    if text == CURRENT:
        return translated("the current version", language)
    asked, _, current = text.partition(" of ")
    if not current:
        return translated("version {asked}", language, asked=asked)
    if asked == current:
        return translated("version {asked}, the current one", language, asked=asked)
    return translated(
        "version {asked} (the current one is {current})", language, asked=asked, current=current
    )


def _bounds(permit: Permit, language: Language, redacted: bool) -> list[Line]:
    def line(code: str, text: str, /, **values: object) -> Line:
        return Line(code, translated(text, language, **values), None, permit.grant, permit.rule)

    lines = [
        line("permit.columns", N_("Columns that may be released: {columns}."), columns=listed(permit.columns))
    ]
    if permit.version is not None:
        number = permit.version
        lines.append(line("permit.version", N_("Only version {number} is read."), number=number))
    if permit.row_filter is not None:
        lines.append(line("permit.rows", N_("Only the rows the terms describe.")))
    if permit.transforms:
        names = listed(list(permit.transforms))
        lines.append(line("permit.transforms", N_("Protected before release: {names}."), names=names))
    if "cohort" in permit.options:
        k = permit.options["cohort"]
        lines.append(line("permit.cohort", N_("Persons in a group: {k} or more."), k=k))
    if "epsilon" in permit.options:
        budget = permit.options["epsilon"]
        lines.append(line("permit.epsilon", N_("Privacy budget: {budget}."), budget=budget))
    if permit.max_uses is not None:
        uses = permit.max_uses
        lines.append(line("permit.uses", N_("Uses in all: at most {uses}."), uses=uses))
    if permit.until is not None:
        end = in_beijing(permit.until) if language == "zh" else permit.until.isoformat()
        lines.append(line("permit.until", N_("Valid until {end}."), end=end))
    for duty in permit.duties:
        label, state = duty_actions().label(duty.action, language), translated(_STATES[duty.state], language)
        due = f" ({_label(duty.due, language)})" if duty.due else ""
        lines.append(
            line("permit.duty", N_("Duty: {label}{due}, {state}."), label=label, due=due, state=state)
        )
    if redacted:
        return [Line(one.code, one.code, None, permit.grant, permit.rule) for one in lines]
    return lines
