"""Who may sign an act, and in which order the signatures stand: found by asking the rules on signatures.

There is no second list of offices: an order is right when `RULES` accepts it, and an officer may sign when there is a set of
signers with this officer in it that `RULES` accepts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, permutations
from typing import Any

from ledger.acts.authority import STILL_TO_SIGN, SignerRules
from ledger.acts.office_rules import coming_in
from ledger.acts.refusal import ActRefused, Refusal
from ledger.acts.rules import RULES
from ledger.acts.under_check import ActUnderCheck
from ledger.chain.calls import arrange
from ledger.chain.messages import Message, MessageError
from ledger.ids import checksummed

MOST_OFFICERS = 4
"""So many officers decide at most: the quorum of core data, and who takes a right over."""
MOST_ORDERS = 5_000
"""Orders of the signers that are tried."""


def in_order(
    bench: SignerRules, kind: str, message: Message, arguments: Mapping[str, Any], signers: Sequence[str]
) -> list[int]:
    """The places of the ``signers`` (addresses with their checksum) in the order in which the contract reads them; as they
    are when the rules accept no order of them. Who comes in stands behind those who decide.

    ``message`` is normalised.
    """
    incoming = coming_in(kind, message)
    deciding = [n for n, signer in enumerate(signers) if signer.lower() not in incoming]
    behind = sorted(
        (n for n in range(len(signers)) if n not in deciding),
        key=lambda n: incoming.index(signers[n].lower()),
    )
    orders = islice(permutations(deciding), MOST_ORDERS) if len(deciding) > 1 else ()
    for order in orders:
        if _refused(bench, kind, message, arguments, [signers[n] for n in order]) is None:
            return [*order, *behind]
    return [*deciding, *behind]


def dealt(
    bench: SignerRules, kind: str, message: Message, arguments: Mapping[str, Any], signers: Sequence[str]
) -> list[int] | dict[str, list[int]]:
    """The places of the signers as an act is handed in: in order, and by slot where the contract has two lists of them.

    With both lists of an admission the department is admitted at once; the council's alone propose it, the seats' alone
    activate it. A member of the old council and of the new one stands in both lists with one signature.
    """
    places = in_order(bench, kind, message, arguments, signers)
    if kind == "Admission":
        seats = coming_in(kind, message)
        slots = {
            "council": [n for n in places if signers[n].lower() not in seats],
            "possession": [n for n in places if signers[n].lower() in seats],
        }
    elif kind == "ReplaceCouncil":
        old, new = bench.council()[0], {member.lower() for member in message["members"]}
        slots = {
            "signatures": [n for n in places if signers[n] in old],
            "incoming": [n for n in places if signers[n].lower() in new],
        }
    else:
        return places
    return {slot: given for slot, given in slots.items() if given}


def signers_refused(
    bench: SignerRules,
    kind: str,
    message: Message,
    arguments: Mapping[str, Any],
    signers: Sequence[str],
    *,
    others_follow: bool,
) -> ActRefused | None:
    """Why these signers cannot be the ones that the act needs; None when they can, and where the records do not tell.

    ``others_follow``: the act goes on to further officers, whoever they are. Otherwise the signers are all there will be.
    """
    incoming = coming_in(kind, message)
    deciding = [signer for signer in signers if signer.lower() not in incoming]
    if not deciding:
        return None
    found: list[ActRefused] = []
    for flat in islice(_sets(deciding, _more(bench, deciding) if others_follow else 0), MOST_ORDERS):
        refused = _refused(bench, kind, message, arguments, flat)
        if refused is None:
            return None
        if refused.code.startswith("act.signer-") or (refused.code == "act.quorum" and not others_follow):
            found.append(refused)
    return found[0] if found else None


def _more(bench: SignerRules, deciding: Sequence[str]) -> int:
    """How many more may sign: an ADMIN stands behind the council."""
    return max(0, max(MOST_OFFICERS, bench.council()[1] + 1) - len(deciding))


def _sets(deciding: Sequence[str], more: int) -> Iterator[list[str]]:
    """The signers in every order, then among one other, then among two ..."""
    for others in range(more + 1):
        for places in permutations(range(len(deciding) + others), len(deciding)):
            at = dict(zip(places, deciding, strict=True))
            yield [at.get(n, f"{STILL_TO_SIGN}{n}") for n in range(len(deciding) + others)]


def _refused(
    bench: SignerRules, kind: str, message: Message, arguments: Mapping[str, Any], deciding: Sequence[str]
) -> ActRefused | None:
    """What the rules say of these who decide, with everybody who comes in behind them."""
    behind = [checksummed(bytes.fromhex(address[2:])) for address in coming_in(kind, message)]
    try:
        _, slots = arrange(kind, message, [*deciding, *behind], arguments)
    except MessageError as unfit:
        return ActRefused(unfit.code, unfit.message, "signatures")
    try:
        RULES[kind](ActUnderCheck(bench, message, arguments, slots))
    except Refusal as refusal:
        return refusal.refused
    return None
