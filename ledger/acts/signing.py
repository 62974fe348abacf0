"""Who may sign an act, and the order of the signatures, found by trying the rules on signatures.

There is no second list of offices: an order is right when `RULES` accepts it, and an officer may sign when `RULES` accepts
some set of signers with this officer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, permutations
from typing import Any

from ledger.acts.authority import STILL_TO_SIGN, SignerRules
from ledger.acts.office_rules import new_holders
from ledger.acts.refusal import ActRefused, Refusal
from ledger.acts.rules import RULES
from ledger.acts.under_check import ActUnderCheck
from ledger.chain.calls import arrange
from ledger.chain.messages import Message, MessageError
from ledger.ids import checksummed

MOST_OFFICERS = 4
"""The most officers that decide without the council: the quorum of core data, and the officer who receives a right."""
MOST_ORDERS = 5_000
"""The most orders of the signers that are tried."""


def in_order(
    rules: SignerRules, kind: str, message: Message, arguments: Mapping[str, Any], signers: Sequence[str]
) -> list[int]:
    """The indexes of ``signers`` (EIP-55 addresses) in the order that the contract requires.

    New holders come after the deciding officers. When the rules accept no order, the officers' order is not changed.
    ``message`` is normalised.
    """
    incoming = new_holders(kind, message)
    deciding = [n for n, signer in enumerate(signers) if signer.lower() not in incoming]
    behind = sorted(
        (n for n in range(len(signers)) if n not in deciding),
        key=lambda n: incoming.index(signers[n].lower()),
    )
    orders = islice(permutations(deciding), MOST_ORDERS) if len(deciding) > 1 else ()
    for order in orders:
        if _refused(rules, kind, message, arguments, [signers[n] for n in order]) is None:
            return [*order, *behind]
    return [*deciding, *behind]


def places_by_slot(
    rules: SignerRules, kind: str, message: Message, arguments: Mapping[str, Any], signers: Sequence[str]
) -> list[int] | dict[str, list[int]]:
    """The indexes of the signers in the form of a submitted act: a list in order, or lists by slot where the contract has
    two.

    An admission with both lists admits the department in one call; the council's signatures alone propose it, those of
    the seats alone activate it. A member of both the old and the new council is in both lists with the same signature.
    """
    places = in_order(rules, kind, message, arguments, signers)
    if kind == "Admission":
        seats = new_holders(kind, message)
        slots = {
            "council": [n for n in places if signers[n].lower() not in seats],
            "possession": [n for n in places if signers[n].lower() in seats],
        }
    elif kind == "ReplaceCouncil":
        old, new = rules.council()[0], {member.lower() for member in message["members"]}
        slots = {
            "signatures": [n for n in places if signers[n] in old],
            "incoming": [n for n in places if signers[n].lower() in new],
        }
    else:
        return places
    return {slot: given for slot, given in slots.items() if given}


def signers_refused(
    rules: SignerRules,
    kind: str,
    message: Message,
    arguments: Mapping[str, Any],
    signers: Sequence[str],
    *,
    others_follow: bool,
) -> ActRefused | None:
    """Why the act cannot have these signers; None when it can, or when the records do not decide it.

    With ``others_follow``, further officers will sign, and they may be any officers. Otherwise the signers are complete.
    """
    incoming = new_holders(kind, message)
    deciding = [signer for signer in signers if signer.lower() not in incoming]
    if not deciding:
        return None
    found: list[ActRefused] = []
    for flat in islice(_sets(deciding, _more(rules, deciding) if others_follow else 0), MOST_ORDERS):
        refused = _refused(rules, kind, message, arguments, flat)
        if refused is None:
            return None
        if refused.code.startswith("act.signer-") or (refused.code == "act.quorum" and not others_follow):
            found.append(refused)
    return found[0] if found else None


def _more(rules: SignerRules, deciding: Sequence[str]) -> int:
    """How many more officers may sign: an ADMIN may sign after the council."""
    return max(0, max(MOST_OFFICERS, rules.council()[1] + 1) - len(deciding))


def _sets(deciding: Sequence[str], more: int) -> Iterator[list[str]]:
    """The signers in every order; then with one placeholder in every place, then with two, up to ``more``."""
    for others in range(more + 1):
        for places in permutations(range(len(deciding) + others), len(deciding)):
            at = dict(zip(places, deciding, strict=True))
            yield [at.get(n, f"{STILL_TO_SIGN}{n}") for n in range(len(deciding) + others)]


def _refused(
    rules: SignerRules, kind: str, message: Message, arguments: Mapping[str, Any], deciding: Sequence[str]
) -> ActRefused | None:
    """The refusal of the rules for these deciding signers, followed by all new holders; None when accepted."""
    behind = [checksummed(bytes.fromhex(address[2:])) for address in new_holders(kind, message)]
    try:
        _, slots = arrange(kind, message, [*deciding, *behind], arguments)
    except MessageError as unfit:
        return ActRefused(unfit.code, unfit.message, "signatures")
    try:
        RULES[kind](ActUnderCheck(rules, message, arguments, slots))
    except Refusal as refusal:
        return refusal.refused
    return None
