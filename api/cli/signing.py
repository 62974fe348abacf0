"""The text that an officer reads before signing: every member of the message and every term of its documents.

The author's free text follows the terms, each line marked with ``| ``, so that it cannot be taken for a term. An
act that cannot be shown completely is not signed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from access_policy.terms.agreement import parse_terms
from api.cli.agreements import agreement_words, author_words
from api.cli.failures import CommandError
from api.sdk.acts import ActDraft
from api.sdk.drafts import document_hash
from api.terminal.language import language, say
from api.terminal.screen import quoted_lines
from ledger.acts.naming import Names
from ledger.acts.wording import describe, title
from ledger.visible import visible

MOST_LINES = 10_000
MOST_CHARACTERS = 400_000
"""The limit of characters to show before signing: a person cannot read more, and a terminal does not keep it."""


def in_words(draft: ActDraft, heading: str = "", names: Names | None = None) -> list[str]:
    """The lines to show, with the known names; CommandError ``act.unshown`` if there are more than the limit."""
    found, characters = [], 0
    for line in _lines(draft, heading, names):
        shown = visible(line)
        found.append(shown)
        characters += len(shown)
        if len(found) > MOST_LINES or characters > MOST_CHARACTERS:
            raise CommandError(
                say("the act is too long to be shown whole before it is signed"),
                hint=say("split it into smaller acts"),
                code="act.unshown",
            )
    return found


def message_words(draft: ActDraft, names: Names | None = None) -> list[tuple[str, str]]:
    """Every member of the message, with its label."""
    return describe(draft.type, draft.message, language(), names)


def _lines(draft: ActDraft, heading: str, names: Names | None) -> Iterator[str]:
    yield f"{heading or title(draft.type, language())} [{draft.type}]"
    for label, value in message_words(draft, names):
        yield f"  {label}: {value}"
    for document in draft.documents:
        digest = document_hash(document)
        if document.get("@type") == "Agreement":
            yield say("  the agreement {digest}:", digest=digest)
            yield from _agreement(document)
        else:
            yield say("  the document {digest}, as its author wrote it:", digest=digest)
            yield from quoted_lines(json.dumps(document, ensure_ascii=False, indent=1), "    ")


def _agreement(document: Mapping[str, Any]) -> Iterator[str]:
    terms = parse_terms(document)
    for label, value in agreement_words(terms):
        yield f"    {label}: {value}"
    if free := author_words(terms):
        yield say("    written by its author; none of it is a term:")
        for label, text in free:
            yield f"      {label}:"
            yield from quoted_lines(text, "      ")
