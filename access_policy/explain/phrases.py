"""The text of each reason code and its next step.

Some codes are of the gateway (``grant.revoked``, ``call.replayed``...), which decides them before it calls the engine.
``{seen}`` and ``{wanted}`` are replaced by the values of the reason in words; the second text of each pair is used when they
are redacted or absent. The terms are those of the glossary; the Chinese texts are in the catalogue (`languages`).
"""

from __future__ import annotations

from typing import Final

from languages.texts import N_

Phrase = tuple[str, str]
"""The text with values and the text without them."""


def _fixed(text: str) -> Phrase:
    """A phrase without values."""
    return text, text


PHRASES: Final[dict[str, Phrase]] = {
    "action.not-granted": (
        N_("“{seen}” is not granted; the grant covers {wanted}."),
        N_("The grant does not cover this action."),
    ),
    "action.unknown": (
        N_("“{seen}” is not an action of the profile."),
        N_("The action is not in the profile."),
    ),
    "area.mismatch": (
        N_("The area {seen} does not fit; the terms want {wanted}."),
        N_("The area does not fit the terms."),
    ),
    "assignee.invalid": (N_("{seen} is not a single party."), N_("The caller is not a single party.")),
    "attribute.invalid": (
        N_("A value has the wrong kind: {seen}; the terms want {wanted}."),
        N_("An attribute of the call has the wrong kind."),
    ),
    "attribute.missing": (
        N_("The call does not say what the terms ask for: {wanted}."),
        N_("The call lacks an attribute the terms ask for."),
    ),
    "column.not-granted": (
        N_("Not granted: {seen}. Granted columns: {wanted}."),
        N_("A column was asked for that is not granted."),
    ),
    "column.prohibited": (
        N_("Nothing is left to release: {seen} are prohibited."),
        N_("Nothing is left to release: the columns are prohibited."),
    ),
    "consequence.unfulfilled": (
        N_("A duty was breached; what follows from it is still owed: {wanted}."),
        N_("A duty was breached, and what follows from it is still owed."),
    ),
    "constraint.not-exactly-one": (
        N_("Exactly one of the alternatives must hold; {seen}."),
        N_("Exactly one of the alternatives must hold."),
    ),
    "constraint.unsatisfied": (
        N_("None of the alternatives holds: the call has {seen}; the terms want {wanted}."),
        N_("None of the alternatives of the terms holds."),
    ),
    "context.incomplete": (
        N_("The gateway did not say what the terms depend on: {wanted}."),
        N_("The gateway did not say what the terms depend on."),
    ),
    "context.invalid": (
        N_("The instant of the call cannot be used: {seen}."),
        N_("The instant of the call cannot be used."),
    ),
    "duty.overdue": (N_("The limit of a duty has passed: {wanted}."), N_("The limit of a duty has passed.")),
    "duty.unfulfilled": (N_("This duty is not fulfilled: {wanted}."), N_("A duty is not fulfilled.")),
    "format.mismatch": (
        N_("The format {seen} does not fit; the terms want {wanted}."),
        N_("The format does not fit the terms."),
    ),
    "grant.expired": (
        N_("The grant has ended: the terms allow use {wanted}; the call came at {seen}."),
        N_("The grant has ended."),
    ),
    "grant.none": (N_("There is no grant of {wanted} to {seen}."), N_("There is no grant for this.")),
    "grant.not-yet-valid": (
        N_("The grant has not begun: the terms allow use {wanted}; the call came at {seen}."),
        N_("The grant has not begun."),
    ),
    "grant.suspended": _fixed(N_("The grant is suspended.")),
    "language.mismatch": (
        N_("The language {seen} does not fit; the terms want {wanted}."),
        N_("The language does not fit the terms."),
    ),
    "legal-basis.mismatch": (
        N_("The legal basis {seen} does not fit; the terms want {wanted}."),
        N_("The legal basis does not fit the terms."),
    ),
    "party.mismatch": (
        N_("The party is {seen}; the terms want {wanted}."),
        N_("The party is not of the kind the terms want."),
    ),
    "period.elapsed": (
        N_("{seen} have passed since the first use; the terms want {wanted}."),
        N_("The period since the first use does not fit the terms."),
    ),
    "policy.conflict": _fixed(
        N_("These terms permit and prohibit the same thing, and say that this makes them void.")
    ),
    "prohibition.indeterminate": (
        N_("A prohibition cannot be ruled out for {seen}."),
        N_("A prohibition cannot be ruled out."),
    ),
    "prohibition.matched": (N_("A prohibition applies to {seen}."), N_("A prohibition applies.")),
    "purpose.mismatch": (
        N_("The purpose {seen} is not allowed; the terms want {wanted}."),
        N_("The purpose is not one the terms allow."),
    ),
    "purpose.unknown": (
        N_("{seen} is not a purpose of DPV 2.3 that a call can have."),
        N_("The purpose is not one of DPV 2.3 that a call can have."),
    ),
    "recipient.mismatch": (
        N_("The recipient {seen} does not fit; the terms want {wanted}."),
        N_("The recipient does not fit the terms."),
    ),
    "remedy.unfulfilled": (
        N_("An infringement has not been remedied: {wanted}."),
        N_("An infringement has not been remedied."),
    ),
    "time.mismatch": (
        N_("The instant {seen} does not fit; the terms want {wanted}."),
        N_("The instant does not fit the terms."),
    ),
    "transform.incompatible": (
        N_("The grants of this chain treat the column {seen} in ways that cannot be joined."),
        N_("The grants of this chain treat a column in ways that cannot be joined."),
    ),
    "uses.exhausted": (
        N_("No use is left. Uses made: {seen}; the terms allow {wanted}."),
        N_("No use is left."),
    ),
    "version.mismatch": (
        N_("The call is for {seen}; the terms give {wanted}."),
        N_("The call is for another version of the dataset than the terms give."),
    ),
    "version.unknown": (
        N_("The dataset has no such version: {seen}."),
        N_("The dataset has no such version."),
    ),
    "version.not-kept": (
        N_("The file of {seen} is not kept any more."),
        N_("The file of the version is not kept any more."),
    ),
    "call.replayed": _fixed(N_("This signed call was already made.")),
    "idempotency.conflict": _fixed(N_("The idempotency key was used for another request.")),
    "idempotency.expired": _fixed(N_("The idempotency key is no longer in force.")),
    "idempotency.changed": _fixed(
        N_("The data, the grant or the plan changed since the first call with this idempotency key.")
    ),
    "grant.revoked": _fixed(N_("The grant was revoked.")),
    "grant.replaced": _fixed(N_("A newer grant replaced this one.")),
    "grant.condition-ended": _fixed(N_("A condition that the grant depends on has ended.")),
    "grant.lost-act": _fixed(
        N_("An act that ended or stopped this grant is lost with the chain that recorded it.")
    ),
    "grant.id-mismatch": _fixed(N_("The stored terms are not the signed ones.")),
    "grant.not-accepted": _fixed(N_("The grantee has not accepted the terms.")),
    "grant.terms-invalid": _fixed(N_("The terms cannot be read.")),
    "asset.version-unsigned": _fixed(N_("The stored catalogue entry is not the one that was signed.")),
    "asset.version-behind": _fixed(
        N_("The chain has a newer version of the dataset than the service has followed.")
    ),
    "source.changed": _fixed(N_("The stored data are not the ones that were signed.")),
    "scan.failed": _fixed(N_("The data could not be read.")),
    "reader.too-slow": _fixed(N_("The reader took the data too slowly while another department waited.")),
    "reader.gave-way": _fixed(N_("The answer gave way to another department, which had none on its way.")),
    "caller.key-ended": _fixed(N_("The key of the call is no longer in force.")),
    "grant.terms-missing": _fixed(N_("The terms are not at hand.")),
    "grant.cancelled": _fixed(N_("The grant was cancelled.")),
    "grant.not-yet": _fixed(N_("The grant has not begun.")),
    "grant.department-suspended": _fixed(N_("A department of the grant is suspended.")),
    "grant.ancestors-unknown": _fixed(N_("The grants from which this one was delegated cannot be proved.")),
    "grant.not-on-chain": _fixed(N_("The chain does not know the grant.")),
    "asset.suspended": _fixed(N_("The dataset is suspended.")),
    "asset.barred": _fixed(N_("The dataset is barred until the data bureau lifts it.")),
    "asset.suspended-and-barred": _fixed(
        N_("The dataset is suspended by its holder, and barred until the data bureau lifts it.")
    ),
    "asset.retired": _fixed(N_("The dataset was retired.")),
    "grant.asset-suspended": _fixed(N_("The dataset of the grant is suspended.")),
    "grant.asset-barred": _fixed(N_("The dataset of the grant is barred until the data bureau lifts it.")),
    "grant.asset-suspended-and-barred": _fixed(
        N_("The dataset of the grant is suspended by its holder, and barred until the data bureau lifts it.")
    ),
    "grant.asset-retired": _fixed(N_("The dataset of the grant was retired.")),
    "grant.asset-unknown": _fixed(N_("The chain does not know the dataset of the grant.")),
    "grant.department-unknown": _fixed(N_("The chain does not know a department of the grant.")),
    "grant.unknown": _fixed(N_("The chain does not know the grant.")),
    "uses.taken": _fixed(N_("The last use was taken by another call at the same moment.")),
    "column.unknown": _fixed(N_("The dataset has no such column.")),
    "predicate.type": _fixed(N_("A value of the filter does not fit the type of its column.")),
    "transform.not-applicable": _fixed(N_("The terms treat a column in a way that its type does not allow.")),
    "plan.refused": _fixed(N_("The query cannot be run under the grant.")),
    "plan.row-filter": _fixed(N_("The row filter of the terms does not fit the dataset.")),
    "plan.option-unsupported": _fixed(N_("The terms ask for a protection that this service does not have.")),
}


ABOVE: Final[str] = N_("Grant {grant}, from which this one was delegated, refuses: {reason}")
"""The text around the reason of an ancestor."""

NEXT: Final[dict[str, str]] = {
    "action": N_("Ask the provider for a grant that covers this action."),
    "attribute": N_("State the attribute in the call, with a value of the vocabulary."),
    "column": N_("Ask for granted columns only, or request more."),
    "consequence": N_("Do what is owed and report it."),
    "asset": N_("Ask the department that holds the dataset."),
    "asset.version-unsigned": N_("Tell the operator of the service."),
    "asset.version-behind": N_(
        "Call again in a few seconds; if it stays so, tell the operator of the service."
    ),
    "call": N_("Sign every call anew, with a fresh nonce."),
    "caller": N_("Ask your department's ADMIN officer to register a key."),
    "scan": N_("Call again later, or tell the operator."),
    "column.unknown": N_("See the columns of the dataset."),
    "context": N_("This is for the operator of the gateway to repair."),
    "duty": N_("Fulfil the duty and report it."),
    "grant": N_("Request a grant, or its renewal, from the provider."),
    "grant.not-accepted": N_("An officer of the department that was granted accepts first: civic accept."),
    "grant.condition-ended": N_(
        "The consent, case or order behind it has ended and cannot be reopened: request a new grant under another one."
    ),
    "grant.lost-act": N_(
        "Ask the department that signed the act to sign it again, and request a new grant where one is due."
    ),
    "grant.replaced": N_("Use the newer grant: civic grants list."),
    "grant.not-yet": N_("Wait until the grant begins."),
    "grant.not-yet-valid": N_("Wait until the grant begins."),
    "grant.suspended": N_("Ask the provider when it goes on."),
    "grant.asset-suspended": N_("Ask the provider when the dataset goes on."),
    **dict.fromkeys(
        ("grant.asset-barred", "grant.asset-suspended-and-barred"),
        N_("Only the data bureau can lift it."),
    ),
    "grant.asset-retired": N_("Look for another dataset in the catalogue."),
    "grant.department-suspended": N_("Only the council can lift it."),
    **dict.fromkeys(
        (
            "grant.ancestors-unknown",
            "grant.asset-unknown",
            "grant.department-unknown",
            "grant.id-mismatch",
            "grant.not-on-chain",
            "grant.terms-invalid",
            "grant.terms-missing",
            "grant.unknown",
            "source",
        ),
        N_("Tell the operator of the service."),
    ),
    "plan": N_("Ask for less, or ask the provider to change the terms."),
    "policy": N_("Ask the provider to repair the terms."),
    "prohibition": N_("Ask the provider whether the prohibition is meant for this case."),
    "predicate": N_("Give a value of the column's type."),
    "purpose": N_("Call for a purpose that was granted, or request this one."),
    "remedy": N_("Remedy the infringement and report it."),
    "transform": N_(
        "Ask the department that delegated the grant to state the same protection as the grant above."
    ),
    "uses": N_("Request a renewal from the provider."),
    "version": N_(
        "Name no version, or the one that the grant gives; for another one ask the provider for a grant."
    ),
    "version.not-kept": N_("Ask the provider for a grant of the current version."),
    "": N_("Compare the call with the terms of the grant."),
}
"""The next steps by code, or by the longest prefix of a code in this table."""


def next_step(code: str) -> str:
    """The next step for a reason code."""
    while code and code not in NEXT:
        code = code.rpartition(".")[0]
    return NEXT[code]


OPERATOR_WORDS: Final[dict[str, str]] = {
    "eq": N_("exactly {values}"),
    "neq": N_("other than {values}"),
    "lt": N_("less than {values}"),
    "lteq": N_("at most {values}"),
    "gt": N_("more than {values}"),
    "gteq": N_("at least {values}"),
    "isA": N_("{values} or something narrower"),
    "isPartOf": N_("{values} or a part of it"),
    "hasPart": N_("{values} or something broader"),
    "isAnyOf": N_("one of {values}, or narrower"),
    "isAllOf": N_("what falls under all of {values}"),
    "isNoneOf": N_("none of {values}, nor anything narrower"),
}

TIME_WORDS: Final[dict[str, str]] = {
    "eq": N_("at {values}"),
    "neq": N_("at any instant but {values}"),
    "lt": N_("before {values}"),
    "lteq": N_("until {values}"),
    "gt": N_("after {values}"),
    "gteq": N_("from {values} on"),
}

_EQUAL: Final[dict[str, str]] = {name: OPERATOR_WORDS[name] for name in ("eq", "neq")}

AREA_WORDS: Final[dict[str, str]] = _EQUAL | {
    "isPartOf": N_("{values} or a part of it"),
    "hasPart": N_("{values} or an area that contains it"),
    "isAnyOf": N_("one of {values}, or a part of one"),
    "isNoneOf": N_("none of {values}, nor a part of one"),
}

PARTY_WORDS: Final[dict[str, str]] = _EQUAL | {
    "isPartOf": N_("{values} or a member of it"),
    "isAnyOf": N_("one of {values}, or a member of one"),
    "isNoneOf": N_("none of {values}, nor a member of one"),
}

EXACT_WORDS: Final[dict[str, str]] = _EQUAL | {
    "isAnyOf": N_("one of {values}"),
    "isNoneOf": N_("none of {values}"),
}

_WORDS_OF: Final[dict[str, dict[str, str]]] = {
    "dateTime": TIME_WORDS,
    "spatial": AREA_WORDS,
    "recipient": PARTY_WORDS,
    "language": EXACT_WORDS,
    "fileFormat": EXACT_WORDS,
    "partyKind": EXACT_WORDS,
    "version": {"eq": N_("version {values}")},
}


def operator_words(operand: str, operator: str) -> str:
    """The text of an operator for an operand, with the meaning in `access_policy.decision.evaluation`."""
    return _WORDS_OF.get(operand, OPERATOR_WORDS)[operator]
