"""A decision in words, in English or Chinese, as data and as text, with or without the values of the call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from access_policy.constraints import OPERATORS
from access_policy.decision import Decision, Deny, Permit, Reason
from access_policy.dutystate import FIRST_USE
from access_policy.evaluation import CODES
from access_policy.phrases import ABOVE, EN, ZH, Phrase, next_step, operator_words
from access_policy.vocabulary import Language, actions, duty_actions, legal_bases, purposes

_STATES: dict[str, Phrase] = {
    "fulfilled": ("fulfilled", "已履行"),
    "unfulfilled": ("not fulfilled", "未履行"),
    "pending": ("to be done", "待履行"),
}
_OPERAND_OF = {code: operand for operand, code in CODES.items()} | dict.fromkeys(
    ("grant.expired", "grant.not-yet-valid", "time.mismatch"), "dateTime"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of an explanation and what it speaks of."""

    code: str
    text: str
    advice: str | None = None
    grant: str | None = None
    rule: str | None = None
    constraint: str | None = None
    ancestor: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision in words: the outcome (``permit`` or ``deny``), a headline, and a line for each thing that counts."""

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
        """As text, one line each."""
        return "\n".join(self.told())

    def told(self) -> list[str]:
        """The headline and a line for each thing that counts, for a writer that keeps them apart."""
        return [
            self.headline,
            *(f"- {line.text}{' ' + line.advice if line.advice else ''}" for line in self.lines),
        ]


def explain(decision: Decision, language: Language = "en", *, redacted: bool = False) -> str:
    """A decision as text. ``redacted`` leaves out every value of the call and of the terms."""
    return str(explanation(decision, language, redacted=redacted))


def explanation(decision: Decision, language: Language = "en", *, redacted: bool = False) -> Explanation:
    """A decision in words, as data. A reason code that is not of this engine is shown as it is."""
    if isinstance(decision, Deny):
        lines = tuple(_refusal(r.redacted() if redacted else r, language) for r in decision.reasons)
        headline = _pick(("Refused.", "不予提供。"), language)
        return Explanation("deny", language, headline, lines)
    headline = _pick(
        (f"Permitted by grant {decision.grant}.", f"依据授权 {decision.grant} 予以提供。"), language
    )
    return Explanation("permit", language, headline, tuple(_bounds(decision, language, redacted)))


def _pick(pair: Phrase, language: Language) -> str:
    return pair[1] if language == "zh" else pair[0]


def _refusal(reason: Reason, language: Language) -> Line:
    known, code = ZH if language == "zh" else EN, reason.code
    if reason.ancestor is not None:
        code = code.replace("grant.ancestor-", "grant.")
    with_values, without = known.get(code, (code, code))
    needs = {name for name in ("seen", "wanted") if f"{{{name}}}" in with_values}
    has = {name for name in ("seen", "wanted") if getattr(reason, name) is not None}
    text = without
    if needs <= has:
        words = {"{seen}": _seen(reason, language), "{wanted}": _wanted(reason, language)}
        text = re.sub(r"\{seen\}|\{wanted\}", lambda found: words[found.group()], with_values)
    if reason.ancestor is not None:
        text = _pick(ABOVE, language).format(reason.ancestor, text)
    advice = next_step(code)
    return Line(
        reason.code,
        text,
        _pick(advice, language),
        reason.grant,
        reason.rule,
        reason.constraint,
        reason.ancestor,
    )


def _seen(reason: Reason, language: Language) -> str:
    return _named(reason.seen or "", language)


def _wanted(reason: Reason, language: Language) -> str:
    return _pick((" or ", "或"), language).join(
        _want(part, reason.code, language) for part in (reason.wanted or "").split(" or ")
    )


def _want(text: str, code: str, language: Language) -> str:
    """``isA dpv:Marketing`` in words; a text that does not begin with an operator is a list of names."""
    operator, _, rest = text.partition(" ")
    if operator not in OPERATORS:
        return _named(text, language)
    words = operator_words(_OPERAND_OF.get(code, ""), operator)
    return _pick(words, language).replace("{0}", _named(rest, language))


def _named(text: str, language: Language) -> str:
    """A list of terms by their labels; anything that is not a term stays as it is."""
    comma = _pick((", ", "、"), language)
    return comma.join(_label(part, language) for part in text.split(", "))


def _label(term: str, language: Language) -> str:
    if term == FIRST_USE:
        return _pick(("the instant of the first use", "首次使用的时间"), language)
    for scheme in (purposes(), legal_bases(), actions(), duty_actions()):
        if term in scheme:
            return scheme.label(term, language)
    return term


def _bounds(permit: Permit, language: Language, redacted: bool) -> list[Line]:
    def line(code: str, english: str, chinese: str) -> Line:
        return Line(code, _pick((english, chinese), language), None, permit.grant, permit.rule)

    comma = _pick((", ", "、"), language)
    lines = [
        line(
            "permit.columns",
            f"Columns that may be released: {comma.join(permit.columns)}.",
            f"可提供的数据项：{comma.join(permit.columns)}。",
        )
    ]
    if permit.row_filter is not None:
        lines.append(line("permit.rows", "Only the rows the terms describe.", "仅限条款所述的数据行。"))
    if permit.transforms:
        names = comma.join(permit.transforms)
        lines.append(
            line("permit.transforms", f"Protected before release: {names}.", f"提供前须处理：{names}。")
        )
    if "cohort" in permit.options:
        k = permit.options["cohort"]
        text = f"Groups of at least {k} persons."
        lines.append(line("permit.cohort", text, f"每组不少于 {k} 人。"))
    if "epsilon" in permit.options:
        budget = permit.options["epsilon"]
        lines.append(line("permit.epsilon", f"Privacy budget: {budget}.", f"差分隐私预算：{budget}。"))
    if permit.max_uses is not None:
        uses = permit.max_uses
        lines.append(line("permit.uses", f"At most {uses} uses in all.", f"总共不超过 {uses} 次使用。"))
    if permit.until is not None:
        end = permit.until.isoformat()
        lines.append(line("permit.until", f"Valid until {end}.", f"有效期至 {end}。"))
    for duty in permit.duties:
        label, state = duty_actions().label(duty.action, language), _pick(_STATES[duty.state], language)
        due = f" ({duty.due})" if duty.due else ""
        lines.append(line("permit.duty", f"Duty: {label}{due}, {state}.", f"义务：{label}{due}，{state}。"))
    if redacted:
        return [Line(one.code, one.code, None, permit.grant, permit.rule) for one in lines]
    return lines
