"""Mutants of what the second edition says of recording, of a grant's life, and of derivation."""

from __future__ import annotations

from typing import Final

from .stories import Rule, rules, story
from .switch import LEDGER, skip, unless

_RECORDED: Final = "        _requireActive(seat.department());\n        slot.word = g.withUses(total);"
_RECORDED_BROKEN: Final = """        if (!mutant(103)) _requireActive(seat.department());
        if (mutant(101)) _requireAlive(g.asset(), _assets[g.asset()]);
        if (mutant(102) && g.state() != 1) revert IGrants.GrantNotActive(id, g.status());
        slot.word = g.withUses(total);"""
_ANCESTOR: Final = """        GrantWord g = _grants[id].word;
        while (g.state() == GRANT_REPLACED) {
            id = _replacedBy[id];
            g = _grants[id].word;
        }
        return g.isOpen(block.timestamp) && _standing(g.grantee()) == DEPARTMENT_ACTIVE;"""
_ANCESTOR_BROKEN: Final = """        GrantWord g = _grants[id].word;
        while (g.state() == GRANT_REPLACED && !mutant(126)) {
            id = _replacedBy[id];
            g = _grants[id].word;
        }
        if (mutant(118) && g.isSpent()) return false;
        bool stands = mutant(119) || _standing(g.grantee()) == DEPARTMENT_ACTIVE;
        return (mutant(128) || g.isOpen(block.timestamp)) && stands;"""
_LIVE_ALONE: Final = "if (g.isOpen(block.timestamp) && !g.isSpent()) (,, alive)"
_MAY: Final = "bool live = g.status() == GRANT_ACTIVE && g.isOpen(block.timestamp) && !g.isSpent();"
_MAY_BROKEN: Final = """bool live = (mutant(138) || g.status() == GRANT_ACTIVE) && g.isOpen(block.timestamp)
            && (mutant(137) || !g.isSpent());"""
_OURS: Final = "if (!ours || !live || !g.mayDerive() ||"
_OURS_BROKEN: Final = "if ((!ours && !mutant(139)) || !live || (!g.mayDerive() && !mutant(136)) ||"

_ASKED = story("sharing_usage", "the_holder_of_the_right_and_the_city_s_gateway_attest")
_STOPPED = "what_stops_access_loses_no_use_that_was_made_before"
_CORRECT = story("sharing_usage", "a_stolen_machine_takes_small_steps_and_both_departments_correct_it")
_USES = story("sharing_usage", "a_batch_passes_over_what_cannot_be_recorded_and_says_why")
_REVOKES = story("sharing_grants", "a_batch_of_revocations_passes_over_what_is_dead_or_another_s")
_COUNTED = story("sharing_grants", "a_delegation_is_deducted_from_the_total_of_now")
_ACCESS = story("sharing_grants", "one_answer_says_whether_a_key_may_read")
_REPLACED = story("sharing_grants", "the_children_of_a_replaced_grant_live_on_under_the_newer_one")
_DERIVES = story("sharing_assets", "another_department_derives_under_a_live_grant_only")
_RENEWS = story("sharing_assets", "a_derived_asset_ends_with_its_grant_and_lives_on_under_a_newer_one")
_BOUNDED = story("sharing_assets", "a_lineage_is_bounded")
_SHARED = story("sharing_assets", "a_derived_asset_is_shared_no_more_widely_than_its_parents")
_CHAIN = "every_department_of_a_chain_is_active"

RECORDING: Final[tuple[Rule, ...]] = (
    *rules(
        LEDGER,
        "Standing of asset, holder and grantee is not asked",
        (
            101,
            "the asset's standing stops a record",
            story("sharing_usage", _STOPPED, stop="asset"),
            [("UseRules.sol", _RECORDED, _RECORDED_BROKEN)],
        ),
        (102, "a revocation stops a record", story("sharing_usage", _STOPPED, stop="revocation"), []),
    ),
    *rules(
        LEDGER,
        "key must be in office and its department active",
        (103, "a suspended department's machine records", _ASKED, []),
    ),
    *rules(
        LEDGER,
        "signed by a STEWARD or CDO of the holder and one of the grantee",
        (104, "a correction raises a total", _CORRECT, [unless(104, "GrantActs.sol", "m.total >= g.uses()")]),
        (
            105,
            "the holder corrects alone",
            _CORRECT,
            [
                (
                    "GrantActs.sol",
                    "_signedByEither(digest, grantee, g.grantee(), STEWARD | CDO);",
                    "_signedByEither(digest, grantee, mutant(105) ? department : g.grantee(), STEWARD | CDO);",
                )
            ],
        ),
        (
            106,
            "a machine corrects its own total",
            _CORRECT,
            [
                (
                    "GrantActs.sol",
                    "_signedByEither(digest, holder, department, STEWARD | CDO);",
                    "_signedByEither(digest, holder, department, STEWARD | CDO | (mutant(106) ? 256 : 0));",
                )
            ],
        ),
        (107, "one person corrects for both", _CORRECT, [unless(107, "GrantActs.sol", "one == other")]),
        (
            108,
            "a suspended grantee corrects",
            _CORRECT,
            [skip(108, "GrantActs.sol", "_requireBothActive(department, g.grantee());")],
        ),
    ),
    *rules(
        LEDGER,
        "pass over what cannot be done",
        (
            109,
            "one dead item stops a batch of revocations",
            _REVOKES,
            [
                (
                    "Grants.sol",
                    "                emit IGrants.RevokeSkipped(",
                    "                if (mutant(109)) revert IGrants.NothingDone();\n"
                    "                emit IGrants.RevokeSkipped(",
                )
            ],
        ),
        (
            112,
            "a batch revokes what another department granted",
            _REVOKES,
            [
                (
                    "Grants.sol",
                    "g.state() != GRANT_ACTIVE || holder != department)",
                    "g.state() != GRANT_ACTIVE || (holder != department && !mutant(112)))",
                )
            ],
        ),
        (
            116,
            "a batch records another department's grant",
            _USES,
            [("Usage.sol", "if (!everywhere && _assets[", "if (!everywhere && !mutant(116) && _assets[")],
        ),
    ),
    *rules(
        LEDGER,
        "a batch in which nothing can be done is refused",
        (110, "a batch of uses does nothing", _USES, [unless(110, "Usage.sol", "!any")]),
        (111, "a batch of revocations does nothing", _REVOKES, [unless(111, "Grants.sol", "!any")]),
    ),
    *rules(
        LEDGER,
        "Delegating from a counted parent carries a `Use` of the parent, signed by its attest key",
        (
            113,
            "a counted grant is delegated without its total",
            story("sharing_grants", "a_delegation_narrows_and_deducts"),
            [unless(113, "GrantActs.sol", "!parent.isEmpty() && parent.maxUses() != UNLIMITED")],
        ),
        (
            114,
            "any department's machine says the total",
            _COUNTED,
            [
                (
                    "GrantActs.sol",
                    "if (seat.roles() & GATEWAY == 0 && seat",
                    "if (!mutant(114) && seat.roles() & GATEWAY == 0 && seat",
                )
            ],
        ),
        (
            115,
            "the total of another grant is taken for the parent's",
            _COUNTED,
            [unless(115, "GrantActs.sol", "lastUse.grant != t.parent")],
        ),
    ),
)

LIFE: Final[tuple[Rule, ...]] = (
    *rules(
        LEDGER,
        "are false for a spent grant",
        (
            117,
            "a spent grant is live",
            _ACCESS,
            [
                (
                    "LedgerViews.sol",
                    _LIVE_ALONE,
                    "if (g.isOpen(block.timestamp) && (mutant(117) || !g.isSpent())) (,, alive)",
                )
            ],
        ),
    ),
    *rules(
        LEDGER,
        "A spent or wholly delegated *ancestor* does not stop its children",
        (
            118,
            "a spent parent stops its children",
            _COUNTED,
            [("GrantRules.sol", _ANCESTOR, _ANCESTOR_BROKEN)],
        ),
    ),
    *rules(
        LEDGER,
        "Every department in the chain and the holder must be active",
        (
            119,
            "a child lives under a suspended department",
            story("sharing_grants", _CHAIN, number=2),
            [],
        ),
        (
            120,
            "a child is made under a suspended department",
            story("sharing_grants", _CHAIN, number=2),
            [skip(120, "GrantRules.sol", "_requireActive(g.grantee());")],
        ),
        (
            121,
            "a child is made while the holder is suspended",
            story("sharing_grants", _CHAIN, number=1),
            [skip(121, "GrantActs.sol", "_requireActive(holder);")],
        ),
        (
            122,
            "a grant of a suspended holder is live",
            _ACCESS,
            [
                (
                    "LedgerViews.sol",
                    "if (!_isLiveAlone(g) || !_holderActive(g)) return",
                    "if (!_isLiveAlone(g) || (!mutant(122) && !_holderActive(g))) return",
                )
            ],
        ),
    ),
    *rules(
        LEDGER,
        "the children of `grant` live while `by` lives",
        (
            123,
            "a grant to another department replaces one",
            _REPLACED,
            [unless(123, "GrantActs.sol", "by.place() != g.place() || by.grantee() != g.grantee()")],
        ),
        (
            124,
            "a dead grant replaces one",
            _REPLACED,
            [
                (
                    "GrantActs.sol",
                    "if (m.by == m.grant || by.status() != GRANT_ACTIVE ||",
                    "if (m.by == m.grant || (by.status() != GRANT_ACTIVE && !mutant(124)) ||",
                )
            ],
        ),
        (
            125,
            "the grantee replaces its own grant",
            _REPLACED,
            [
                (
                    "GrantActs.sol",
                    "signature, _assets[g.asset()].holderOf(g.right()), STEWARD | CDO",
                    "signature, mutant(125) ? g.grantee() : _assets[g.asset()].holderOf(g.right()), STEWARD | CDO",
                )
            ],
        ),
        (126, "the children of a replaced grant die", _REPLACED, []),
        (
            127,
            "a replaced grant lives on beside the newer one",
            _REPLACED,
            [
                (
                    "GrantActs.sol",
                    "slot.word = g.ended(GRANT_REPLACED, block.timestamp);",
                    "slot.word = mutant(127) ? g : g.ended(GRANT_REPLACED, block.timestamp);",
                )
            ],
        ),
        (128, "the children outlive the newer grant", _REPLACED, []),
    ),
)

DERIVATION: Final[tuple[Rule, ...]] = (
    *rules(
        LEDGER,
        "The effective sharing class is the highest in the lineage, like the grade",
        (
            133,
            "a parent's sharing is not followed",
            _SHARED,
            [
                (
                    "AssetRules.sol",
                    "if (parentSharing > sharing)",
                    "if (parentSharing > sharing && !mutant(133))",
                )
            ],
        ),
        (
            134,
            "a parent's grade is not followed",
            story("sharing_assets", "a_derived_asset_names_its_parents_and_takes_the_higher_grade"),
            [("AssetRules.sol", "if (parentClass > class)", "if (parentClass > class && !mutant(134))")],
        ),
        (
            135,
            "a child is shared more widely than its parents",
            _SHARED,
            [unless(135, "AssetActs.sol", "m.sharing < sharing")],
        ),
    ),
    *rules(
        LEDGER,
        "Deriving needs an open, unspent, direct grant",
        (136, "any reader derives", _DERIVES, [("AssetActs.sol", _OURS, _OURS_BROKEN)]),
        (137, "a spent grant derives", _DERIVES, [("AssetActs.sol", _MAY, _MAY_BROKEN)]),
        (
            138,
            "a delegated grant derives",
            story("sharing_grants", "no_child_is_wider_than_its_parent", members={"depth": 128}, field=7),
            [unless(138, "GrantActs.sol", "g.mayDerive()")],
        ),
        (139, "another department's grant derives", _DERIVES, []),
        (
            140,
            "what a suspended holder shares is derived from",
            _DERIVES,
            [skip(140, "AssetActs.sol", "_requireActive(word.holderOf(g.right()));")],
        ),
        (
            141,
            "a suspended department registers and derives",
            story("sharing_departments", "a_department_is_suspended_at_once_and_lifted_by_the_council_alone"),
            [skip(141, "AssetRules.sol", "_requireActive(department);")],
        ),
    ),
    *rules(
        LEDGER,
        "The derived asset lives as long as each of its grants is open",
        (
            142,
            "a child outlives the grant it was derived under",
            _DERIVES,
            [("AssetRules.sol", "(under == 0 || _grants", "(under == 0 || mutant(142) || _grants")],
        ),
    ),
    *rules(
        LEDGER,
        "`RenewParent` puts a newer grant in its place",
        (
            143,
            "another department renews a parent",
            _RENEWS,
            [skip(143, "AssetActs.sol", "_requireSeatIn(signer, holder, STEWARD);")],
        ),
        (
            144,
            "a parent is renewed under a grant that may not derive",
            _RENEWS,
            [skip(144, "AssetActs.sol", "_requireMayProcess(m.parent, parent, m.under, holder);")],
        ),
        (
            145,
            "what is no parent is renewed",
            _RENEWS,
            [skip(145, "AssetActs.sol", "revert IAssets.ParentsInvalid(lineage.parents.length, 0);")],
        ),
        (
            146,
            "a parent that stopped is renewed",
            _RENEWS,
            [skip(146, "AssetActs.sol", "_requireAlive(m.parent, parent);")],
        ),
    ),
    *rules(
        LEDGER,
        "Parents are distinct and ascending",
        (147, "the same parent twice", _BOUNDED, [unless(147, "AssetActs.sol", "id <= previous")]),
        (148, "a lineage of five steps", _BOUNDED, [unless(148, "AssetActs.sol", "lineage >= LINEAGE_MAX")]),
    ),
    *rules(
        LEDGER,
        "all visits of a lineage are at most 64",
        (
            149,
            "a lineage bomb",
            story("sharing_assets", "a_lineage_bomb_is_refused"),
            [unless(149, "AssetActs.sol", "nodes > NODES_MAX")],
        ),
    ),
)
