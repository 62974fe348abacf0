"""The signers of an act and the order of the signatures, by the rules, before signing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

from contracts.codes import Role
from ledger.acts.authority import SignerRules
from ledger.acts.projected import ProjectedRecords
from ledger.acts.refusal import ActRefused
from ledger.acts.signing import in_order, signers_refused
from ledger.chain.signers import address_of
from ledger.store.engine import reader

TERM = {"notBefore": 0, "notAfter": 2**40 - 1}


def addresses(tools: Any, names: Sequence[str]) -> list[str]:
    return [address_of(tools.secret(name)) for name in names]


def acts_of_many(city: Any, tools: Any) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
    """Acts with more than one signature, and their signers in the contract's order."""

    def seat(roles: int, *signers: str) -> tuple[dict[str, Any], tuple[str, ...]]:
        message = {"department": 7, "officer": address_of(tools.secret("7:new")), "roles": roles, **TERM}
        return city.act("AddOfficer", message, *signers, "7:new"), (*signers, "7:new")

    important = city.registration(7, 13, grade="important")
    city.must(important)
    granted = city.grant(tools.AIR, 9)
    city.must(granted)
    grant = tools.grant_id(granted)
    city.must(city.act("Use", {"grant": grant, "total": 3, "logHead": "0x" + "55" * 32}, "7:machine"))
    city.follow()
    right = {"asset": tools.AIR, "right": 3, "from": 7, "to": 9, "salt": 1}
    rotation = dict(zip(("from", "to"), addresses(tools, ("7:cdo", "7:cdo-2")), strict=True))
    return [
        (city.grant(important["message"]["asset"], 9), ("7:steward", "7:cdo")),
        (city.act("RetireAsset", {"asset": tools.AIR}, "7:steward"), ("7:steward", "7:admin")),
        (city.act("TransferRight", right, "7:steward"), ("7:steward", "9:steward")),
        (
            city.act("CorrectUses", {"grant": grant, "total": 2, "salt": 1}, "7:steward"),
            ("7:cdo", "9:steward"),
        ),
        (city.act("RotateKey", rotation, "7:cdo"), ("7:cdo", "7:cdo-2")),
        seat(Role.STEWARD, "7:admin", "7:cdo"),
        seat(Role.CDO, "mayor", "7:admin"),
        seat(Role.FINANCE, "7:admin"),
    ]


def rules_of(connection: Any, city: Any) -> SignerRules:
    return SignerRules(ProjectedRecords(connection), city.now())


def test_signatures_are_put_into_the_contracts_order(city: Any, tools: Any) -> None:
    acts = acts_of_many(city, tools)
    with reader(city.engine).connect() as connection:
        rules = rules_of(connection, city)
        for act, names in acts:
            right = addresses(tools, names)
            for given in permutations(right):
                places = in_order(rules, act["type"], act["message"], {}, given)
                assert [given[n] for n in places] == right, act["type"]


def refused(
    rules: SignerRules, tools: Any, act: Mapping[str, Any], *names: str, others_follow: bool
) -> ActRefused | None:
    signers = addresses(tools, names)
    arguments = act.get("arguments", {})
    return signers_refused(
        rules, act["type"], act["message"], arguments, signers, others_follow=others_follow
    )


def test_every_required_signer_may_sign_first_and_others_may_not(city: Any, tools: Any) -> None:
    """The officers of an act by its rule, one after the other; none of another office or department."""
    acts = acts_of_many(city, tools)
    everybody = [
        *("7:admin", "7:steward", "7:cdo", "7:oversight", "7:machine"),
        *("9:admin", "9:steward", "9:emergency", "1:bureau", "mayor", "nobody"),
    ]
    may = {
        "Terms": {"7:steward", "7:cdo", "1:bureau"},
        "RetireAsset": {"7:admin", "7:steward", "7:cdo", "1:bureau"},
        "TransferRight": {"7:steward", "7:cdo", "9:steward", "1:bureau"},
        "CorrectUses": {"7:steward", "7:cdo", "9:steward"},
        "RotateKey": {"7:cdo"},
        "AddOfficer": {"7:admin", "7:steward", "7:cdo", "mayor"},
    }
    with reader(city.engine).connect() as connection:
        rules = rules_of(connection, city)
        for act, names in acts:
            found = {one for one in everybody if not refused(rules, tools, act, one, others_follow=True)}
            expected = may[act["type"]]
            if act["type"] == "AddOfficer" and not act["message"]["roles"] & Role.STEWARD:
                expected = {"7:admin", "mayor"}
            assert found == expected, act["type"]
            assert refused(rules, tools, act, *names, others_follow=False) is None
            assert refused(rules, tools, act, *reversed(names), others_follow=False) is None


def test_a_refusal_names_the_officer_and_the_office(city: Any, tools: Any) -> None:
    city.follow()
    grant = city.grant(tools.AIR, 9)
    cases = [
        ("7:oversight", "act.signer-role", "without the role STEWARD"),
        ("9:steward", "act.signer-department", "is of department 9"),
        ("nobody", "act.signer-unknown", "holds no seat"),
    ]
    with reader(city.engine).connect() as connection:
        rules = rules_of(connection, city)
        for who, code, words in cases:
            for others_follow in (False, True):
                found = refused(rules, tools, grant, who, others_follow=others_follow)
                assert found is not None
                assert (found.code, words in found.detail) == (code, True), found
        # A CDO signs together with the steward of important data; alone, it cannot sign for general data.
        assert refused(rules, tools, grant, "7:cdo", others_follow=True) is None
        alone = refused(rules, tools, grant, "7:cdo", others_follow=False)
        assert alone is not None
        assert alone.code == "act.signer-role"
