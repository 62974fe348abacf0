"""The status of a grant, a dataset, a department or a seat, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.terminal.language import language, say
from languages.texts import NP_, in_context

_STANDINGS = frozenset(
    {
        NP_("standing", "active"),
        NP_("standing", "not yet valid"),
        NP_("standing", "not yet"),
        NP_("standing", "not accepted"),
        NP_("standing", "spent"),
        NP_("standing", "expired"),
        NP_("standing", "revoked"),
        NP_("standing", "replaced"),
        NP_("standing", "condition ended"),
        NP_("standing", "lost act"),
        NP_("standing", "cancelled"),
        NP_("standing", "not on chain"),
        NP_("standing", "id mismatch"),
        NP_("standing", "terms missing"),
        NP_("standing", "asset suspended"),
        NP_("standing", "asset barred"),
        NP_("standing", "asset suspended and barred"),
        NP_("standing", "asset retired"),
        NP_("standing", "department suspended"),
        NP_("standing", "ancestors unknown"),
        NP_("standing", "suspended"),
        NP_("standing", "barred"),
        NP_("standing", "suspended and barred"),
        NP_("standing", "retired"),
        NP_("standing", "removed"),
    }
)


_STATES = frozenset(
    {
        NP_("state", "awaiting-file"),
        NP_("state", "received"),
        NP_("state", "submitted"),
        NP_("state", "mined"),
        NP_("state", "recorded"),
        NP_("state", "failed"),
        NP_("state", "expired"),
        NP_("state", "documents-kept"),
        NP_("state", "granted"),
        NP_("state", "refused"),
        NP_("state", "withdrawn"),
    }
)
"""The states of an act in progress, and of a request."""

_DECISIONS = frozenset({NP_("decision", "permit"), NP_("decision", "deny")})


def standing_words(word: str) -> str:
    """A status word of the service in words; an unknown word is returned unchanged."""
    own = word.removeprefix("ancestor-")
    text = in_context("standing", own.replace("-", " "))
    words = say(text) if text in _STANDINGS or language() == "en" else own
    return words if own == word else say("a grant above: {standing}", standing=words)


def left_words(left: object) -> str:
    """The number of remaining uses, in words."""
    return say("unlimited") if left is None else str(left)


def status_words(grant: Mapping[str, Any]) -> str:
    """The status of a grant in the register, and its source if the chain did not answer the service."""
    words = standing_words(str(grant["status"]))
    if grant.get("chain_asked", True):
        return words
    block = grant["as_of_block"]
    return say("{words} (as of block {block}; the chain did not answer)", words=words, block=block)


def value_words(name: str, value: object) -> object:
    """In words: a dataset's ``grade``, ``sharing`` or ``status``, an act's or a request's ``state``, or an entry's
    ``decision``. Other members are returned unchanged."""
    from api.sdk.codes import GRADES, SHARING

    match name, value:
        case "grade", str() if value in GRADES:
            return _in_chinese("class", value, GRADES[value])
        case "sharing", str() if value in SHARING:
            return _in_chinese("sharing", value, SHARING[value])
        case "status", str():
            return standing_words(value)
        case "state" | "decision", str():
            return _listed(value, name, _STATES | _DECISIONS)
    return value


def _listed(word: str, context: str, known: frozenset[str]) -> str:
    """A word of the service for people; an unknown word is returned unchanged."""
    text = in_context(context, word)
    return say(text) if text in known else word


def _in_chinese(member: str, word: str, code: int) -> str:
    """A word of a dataset's entry: in English as programs write it, in Chinese as the signer of the entry sees it."""
    from ledger.acts.wording import value_text

    return word if language() == "en" else value_text("RegisterAsset", member, code, "zh")
