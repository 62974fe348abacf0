"""The acts on data and on the contracts next to the ledger: heads of logs, money, conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contracts_harness import HOUR, UNLIMITED, ZERO, Key, keccak, struct_hash

from tests.contracts.anchoring import origin_of
from tests.contracts.settling import POOL, line_leaf, proof_of

from .acts import CITY, COUNCIL, OFFICES, Act, Call, act
from .ready_city import ReadyCity


def grant(name: str, sequence: int, *way: str) -> Act:
    return act(f"grant {name} data", "grant", "Terms", lambda t: _terms(t, sequence), way)


def _terms(prepared: ReadyCity, sequence: int, **members: Any) -> dict[str, Any]:
    return {**prepared.city.terms(prepared.asset(sequence), 2), **members}


def _child(prepared: ReadyCity, parent: str) -> dict[str, Any]:
    p = getattr(prepared, parent)
    uses = UNLIMITED if parent == "open" else 5
    return prepared.city.terms(
        p["asset"],
        3,
        notBefore=p["notBefore"],
        expiry=p["expiry"],
        maxUses=uses,
        parent=prepared.grants[parent],
    )


def delegate_counted(prepared: ReadyCity, keys: Sequence[Key]) -> Call:
    child = _child(prepared, "counted")
    last = prepared.city.message("Use", grant=child["parent"], total=11, logHead=struct_hash("Terms", child))
    signed = prepared.city.sign("Terms", child, keys[0])
    return (
        prepared.city.ledger,
        "delegateCounted",
        [child, [prepared.counted], last, signed, *prepared.city.sign("Use", last, keys[1])],
    )


def batch(prepared: ReadyCity, keys: Sequence[Key]) -> Call:
    message = prepared.city.message("GrantBatch", grants=[_terms(prepared, 1), _terms(prepared, 1)])
    return prepared.city.ledger, "grantBatch", [message, prepared.city.sign("GrantBatch", message, *keys)]


def cancel(prepared: ReadyCity, keys: Sequence[Key]) -> Call:
    terms = _terms(prepared, 1)
    message = prepared.city.message("Cancel", grant=struct_hash("Terms", terms))
    return prepared.city.ledger, "cancel", [message, terms, *prepared.city.sign("Cancel", message, keys[0])]


def transfer(name: str, sequence: int, *way: str) -> Act:
    return act(
        f"transfer a right of {name} data",
        "transferRight",
        "TransferRight",
        lambda t: {"asset": t.asset(sequence), "right": 2, "from": 1, "to": 2},
        way,
        shape="last",
    )


def retire(name: str, sequence: int, *way: str) -> Act:
    return act(
        f"retire {name} data", "retireAsset", "RetireAsset", lambda t: {"asset": t.asset(sequence)}, way
    )


def graded(name: str, class_: int, sharing: int, *ways: Sequence[str]) -> Act:
    return act(
        name,
        "reclassify",
        "Reclassify",
        lambda t: {"asset": t.asset(2), "class": class_, "sharing": sharing},
        *ways,
    )


def stop(name: str, function: str, sequence: int, by: int, *ways: Sequence[str]) -> Act:
    kind = function[0].upper() + function[1:]
    return act(
        name,
        function,
        kind,
        lambda t: {"asset": t.asset(sequence), "by": by, "reason": ZERO},
        *ways,
        shape="one",
    )


def break_glass(name: str, sequence: int, *way: str) -> Act:
    return act(
        f"break glass on {name} data of another department",
        "breakGlass",
        "BreakGlass",
        lambda t: {
            "asset": t.asset(sequence, 2),
            "grantee": 1,
            "reasonHash": ZERO,
            "until": t.city.now + HOUR,
        },
        way,
    )


def _head(name: str) -> Callable[[ReadyCity], Mapping[str, Any]]:
    return lambda t: {"origin": origin_of(name), "size": 5, "root": keccak(b"root")}


def _statement(which: str) -> Callable[[ReadyCity], Mapping[str, Any]]:
    return lambda t: {"statement": struct_hash("CommitStatement", getattr(t, which))}


def _dispute(prepared: ReadyCity) -> Mapping[str, Any]:
    return {
        "statement": struct_hash("CommitStatement", prepared.fresh),
        "line": line_leaf(prepared.lines[0]),
        "reason": keccak(b"another reason"),
    }


def _closing(prepared: ReadyCity, message: Mapping[str, Any]) -> Sequence[Any]:
    dispute = prepared.pools.dispute(struct_hash("CommitStatement", prepared.fresh), prepared.lines[0])
    return [dispute, prepared.fresh, prepared.lines[0]]


def _closed(prepared: ReadyCity) -> Mapping[str, Any]:
    dispute = prepared.pools.dispute(struct_hash("CommitStatement", prepared.fresh), prepared.lines[0])
    return {"dispute": struct_hash("Dispute", dispute), "reason": ZERO}


def budget(department: int) -> Act:
    whose = "its own department" if department == 1 else "another department"
    return act(
        f"take money of {whose} out of the pool",
        "setBudget",
        "SetBudget",
        {"pool": POOL, "department": department, "deposited": 1_000, "withdrawn": 900, "voucher": ZERO},
        (f"{department} finance",),
        contract="pools",
        shape="one",
    )


DATA = (
    act(
        "register data",
        "registerAsset",
        "RegisterAsset",
        lambda t: {"asset": t.asset(99), "class": 1, "sharing": 2, "metadata": ZERO},
        ("1 steward",),
        shape="one",
    ),
    act(
        "derive data of its own from what it was granted with the right to derive",
        "deriveAsset",
        "DeriveAsset",
        lambda t: {
            "asset": t.asset(98, 2),
            "class": 1,
            "sharing": 2,
            "metadata": ZERO,
            "parents": [t.asset(1)],
            "under": [t.grants["open"]],
        },
        ("2 steward",),
        shape="one",
    ),
    act(
        "put a newer grant under derived data",
        "renewParent",
        "RenewParent",
        lambda t: {"asset": t.asset(1, 2), "parent": t.asset(1), "under": t.grants["newer"]},
        ("2 steward",),
        shape="one",
    ),
    act(
        "publish a version of data",
        "newVersion",
        "NewVersion",
        lambda t: {"asset": t.asset(1), "version": 2, "metadata": ZERO},
        ("1 steward",),
        shape="one",
    ),
    graded("raise the grade of data, up to core and not shared", 3, 3, ("1 cdo",), ("3 bureau",)),
    graded("lower the grade of important data", 1, 1, ("1 steward", "1 cdo")),
    stop("suspend data as its holder", "suspendAsset", 1, 1, ("1 steward",)),
    stop("lift the holder's suspension", "liftAsset", 4, 1, ("1 steward",)),
    stop("bar data", "suspendAsset", 1, 2, ("3 bureau",)),
    stop("lift a bar, also another bureau's", "liftAsset", 5, 2, ("3 bureau",)),
    retire("general", 1, "1 steward", "1 cdo"),
    retire("important", 2, "1 steward", "1 cdo"),
    retire("core", 3, "1 steward", "1 cdo", "2 bureau"),
    transfer("general", 1, "1 steward", "2 steward"),
    transfer("important", 2, "1 steward", "1 cdo", "2 steward"),
    transfer("core", 3, "1 steward", "1 cdo", "3 bureau", "2 steward"),
    grant("general", 1, "1 steward"),
    grant("important", 2, "1 steward", "1 cdo"),
    grant("core", 3, "1 steward", "1 cdo", "2 bureau"),
    Act("grant general data in a batch", "GrantBatch", batch, (("1 steward",),)),
    act(
        "delegate a grant without a bound",
        "delegate",
        "Terms",
        lambda t: _child(t, "open"),
        ("2 steward",),
        after=lambda t, _: [[t.open]],
    ),
    Act(
        "delegate a counted grant",
        "Terms",
        delegate_counted,
        (("2 steward", "1 attest"), ("2 steward", "3 gateway")),
    ),
    Act("cancel signed terms before they are sent", "Cancel", cancel, (("1 steward",),)),
    act(
        "revoke a grant",
        "revoke",
        "Revoke",
        lambda t: {"grant": t.grants["open"], "reason": 1},
        ("1 cdo",),
        shape="one",
    ),
    act(
        "revoke grants in a batch",
        "revokeBatch",
        "RevokeBatch",
        lambda t: {"grants": [t.grants["open"], t.grants["counted"]], "reason": 1},
        ("1 cdo",),
        shape="one",
    ),
    act(
        "revoke what it delegated",
        "revokeDelegated",
        "Revoke",
        lambda t: {"grant": t.grants["below"], "reason": 1},
        ("2 cdo",),
        shape="one",
        after=lambda t, _: [t.below],
    ),
    act(
        "replace a grant by another that stands",
        "replaceGrant",
        "ReplaceGrant",
        lambda t: {"grant": t.grants["open"], "by": t.grants["newer"]},
        ("1 steward",),
        shape="one",
    ),
    act(
        "correct a total of uses downwards",
        "correctUses",
        "CorrectUses",
        lambda t: {"grant": t.grants["counted"], "total": 1},
        ("1 steward", "2 cdo"),
        shape="each",
    ),
    act(
        "record a total of uses",
        "use",
        "Use",
        lambda t: {"grant": t.grants["counted"], "total": 11, "logHead": ZERO},
        ("1 attest",),
        shape="one",
    ),
    act(
        "record totals in a batch",
        "useBatch",
        "UseBatch",
        lambda t: {"uses": [{"grant": t.grants["counted"], "total": 11}], "logHead": ZERO},
        ("1 attest",),
        shape="one",
    ),
    break_glass("general", 10, "1 emergency"),
    break_glass("core", 11, "1 emergency", "2 bureau"),
    act(
        "ratify the department's break-glass",
        "ratify",
        "Ratify",
        lambda t: {"grant": t.glass},
        ("2 oversight",),
        shape="one",
    ),
)
BESIDE = (
    act(
        "open a log on chain",
        "openLog",
        "OpenLog",
        {"origin": origin_of("new"), "operator": 1, "quorum": 0},
        COUNCIL,
        contract="anchor",
    ),
    act(
        "anchor a head of a log without witnesses",
        "anchor",
        "TreeHead",
        _head("alone"),
        ("1 attest",),
        contract="anchor",
        shape="joined",
        after=lambda t, _: [[]],
    ),
    act(
        "anchor a head of a log with one witness",
        "anchor",
        "TreeHead",
        _head("watched"),
        ("1 attest", "2 witness"),
        contract="anchor",
        shape="joined",
        after=lambda t, _: [[]],
    ),
    act(
        "go on with a log under another name",
        "newEpoch",
        "NewEpoch",
        lambda t: {
            **t.anchor.epoch(origin_of("alone"), origin_of("other"), 0, keccak(b"")),
            "lastRoot": bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        },
        COUNCIL,
        contract="anchor",
        after=lambda t, _: [[]],
    ),
    budget(1),
    budget(2),
    act(
        "commit a statement",
        "commitStatement",
        "CommitStatement",
        lambda t: t.pools.statement(t.lines, period=3),
        ("1 finance",),
        contract="pools",
        shape="one",
    ),
    act(
        "ask to see all lines",
        "raiseObjection",
        "Objection",
        lambda t: {**_statement("fresh")(t), "reason": ZERO},
        ("2 finance",),
        contract="pools",
        shape="one",
        after=lambda t, _: [t.fresh],
    ),
    act(
        "show all lines",
        "showLines",
        "ShowLines",
        _statement("fresh"),
        ("1 finance",),
        contract="pools",
        shape="one",
        after=lambda t, _: [t.fresh, t.lines],
    ),
    act(
        "dispute a line",
        "raiseDispute",
        "Dispute",
        _dispute,
        ("2 oversight",),
        contract="pools",
        shape="one",
        after=lambda t, m: [t.fresh, t.lines[0], proof_of([line_leaf(one) for one in t.lines], m["line"])],
    ),
    act(
        "end a dispute of another department",
        "closeDispute",
        "CloseDispute",
        _closed,
        ("2 finance",),
        ("3 bureau",),
        contract="pools",
        shape="one",
        after=_closing,
    ),
    act(
        "settle a statement whose window is over",
        "finalise",
        "Finalise",
        _statement("due"),
        ("1 finance", "1 oversight"),
        contract="pools",
        shape="each",
        after=lambda t, _: [t.due, t.lines],
    ),
    act(
        "open a condition",
        "openCondition",
        "OpenCondition",
        lambda t: {"condition": t.conditions.id(9, keeper=1), "kind": 1, "commitment": keccak(b"c")},
        ("1 attest",),
        contract="conditions",
        shape="one",
    ),
    act(
        "bind a grant to a condition",
        "bindCondition",
        "BindCondition",
        lambda t: {"grant": t.grants["open"], "condition": t.conditions.id(1, keeper=3)},
        ("1 cdo",),
        contract="conditions",
        shape="one",
    ),
    act(
        "end a condition that it keeps",
        "closeCondition",
        "CloseCondition",
        lambda t: {"condition": t.conditions.id(1, keeper=1), "reason": 1},
        ("1 attest",),
        contract="conditions",
        shape="one",
    ),
)
ACTS: tuple[Act, ...] = (*OFFICES, *CITY, *DATA, *BESIDE)
