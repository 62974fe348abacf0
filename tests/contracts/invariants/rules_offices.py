"""Mutants of what the second edition says of assets' two bits, of the council, and of two people."""

from __future__ import annotations

from typing import Final

from .stories import Rule, rules, story
from .switch import LEDGER, skip, unless

_BITS = story("sharing_assets", "holder_and_bureau_stop_an_asset_each_for_itself", first=1)
_HOLDER = story("sharing_assets", "the_holder_suspends_and_lifts")
_PROPOSAL = story("sharing_departments", "a_proposal_ends_with_its_time_and_with_its_council")
_CALLED_OFF = story("sharing_departments", "the_council_calls_a_recovery_off")
_REPLACES = story("sharing_council", "a_council_replaces_itself_and_the_new_one_shows_that_it_can_act")
_SEATED = story(
    "sharing_departments", "an_officer_whom_the_council_alone_seats_begins_after_the_delay", role="cdo"
)
_KEY = story("sharing_departments", "a_service_key_of_the_council_alone_begins_after_the_delay")
_AUDITS = story("sharing_departments", "a_key_that_reads_and_audits_is_removed_by_the_oversight")
_TERM = story("sharing_departments", "a_term_is_prolonged_and_never_shortened")
_SUSPENDED = story("sharing_departments", "a_department_is_suspended_at_once_and_lifted_by_the_council_alone")
_RETIRED = story("sharing_assets", "nobody_retires_an_asset_alone_or_in_a_pause")
_RESTORED = story("sharing_emergencies", "unratified_the_privilege_is_lost_until_the_council_restores_it")
_ACTS = story("sharing_emergencies", "one_act_for_an_asset_two_for_an_officer_six_for_a_department")

_VETO: Final = """        if (block.timestamp >= notBefore || authority.length != 1) return false;
        address signer = SignatureCheck.recoverAt(digest, authority, 0);
        if (signer == _recoveryKeys[department]) return true;
        OfficerWord seat = _seats[signer];
        return seat.inOffice(block.timestamp) && seat.department() == department
            && seat.roles() & (ADMIN | CDO | OVERSIGHT) != 0;"""
_VETO_BROKEN: Final = """        if (mutant(211)) return false;
        if ((block.timestamp >= notBefore && !mutant(212)) || authority.length != 1) return false;
        address signer = SignatureCheck.recoverAt(digest, authority, 0);
        if (signer == _recoveryKeys[department] && !mutant(404)) return true;
        OfficerWord seat = _seats[signer];
        return seat.inOffice(block.timestamp) && (mutant(213) || seat.department() == department)
            && (mutant(214) || seat.roles() & (ADMIN | CDO | OVERSIGHT) != 0);"""
_RENEWAL: Final = """        if (!same || seat.flags() & (SEAT_REMOVED | SEAT_ROTATED) != 0 || m.notAfter <= seat.notAfter()) {"""
_RENEWAL_BROKEN: Final = """        if ((!same && !mutant(216)) || (seat.flags() & (SEAT_REMOVED | SEAT_ROTATED) != 0 && !mutant(217))
            || (m.notAfter <= seat.notAfter() && !mutant(215))) {"""
_RETIRING: Final = "        _requireRunning();\n        AssetWord word = _requireAsset(m.asset);\n        if (word.status() == "

BITS: Final[tuple[Rule, ...]] = rules(
    LEDGER,
    "are independent bits",
    (
        201,
        "who lifts its own bit lifts the other",
        _BITS,
        [
            (
                "AssetActs.sol",
                "else status = m.by == BY_HOLDER ? ASSET_BARRED : ASSET_SUSPENDED;",
                "else status = mutant(201) ? ASSET_ACTIVE : m.by == BY_HOLDER ? ASSET_BARRED : ASSET_SUSPENDED;",
            )
        ],
    ),
    (
        202,
        "the second who stops an asset takes the first one's bit away",
        _BITS,
        [
            (
                "AssetActs.sol",
                "if (status != ASSET_ACTIVE) status = ASSET_SUSPENDED_AND_BARRED;",
                "if (status != ASSET_ACTIVE && !mutant(202)) status = ASSET_SUSPENDED_AND_BARRED;",
            )
        ],
    ),
    (
        203,
        "what is stopped is stopped again",
        _HOLDER,
        [unless(203, "AssetActs.sol", "status == ASSET_RETIRED || _isStoppedBy(status, m.by)")],
    ),
    (
        204,
        "the holder lifts the bureau's bar",
        story("sharing_roles", "what_one_key_alone_can_never_obtain", role="steward"),
        [
            (
                "AssetActs.sol",
                "_requireSeat(signer, BUREAU).department()",
                "_requireSeat(signer, mutant(204) ? 0 : BUREAU).department()",
            )
        ],
    ),
)

COUNCIL: Final[tuple[Rule, ...]] = (
    *rules(
        LEDGER,
        "another epoch's signatures are void",
        (
            205,
            "a replacement of an earlier epoch is taken",
            _REPLACES,
            [unless(205, "Council.sol", "m.epoch != next")],
        ),
        (
            206,
            "a new council need not show that it can act",
            _REPLACES,
            [skip(206, "Council.sol", "_checkMembers(digest, incoming);")],
        ),
    ),
    *rules(
        LEDGER,
        "Pending admissions and recoveries keep the epoch and end with it",
        (
            207,
            "a replaced council's proposal is activated",
            _PROPOSAL,
            [unless(207, "Admissions.sol", "m.epoch != _council.epoch()")],
        ),
        (
            208,
            "a replaced council's recovery is finished",
            story("sharing_departments", "a_recovery_ends_with_the_council_that_began_it"),
            [
                (
                    "Recoveries.sol",
                    "&& slot.epoch == _council.epoch()",
                    "&& (mutant(208) || slot.epoch == _council.epoch())",
                )
            ],
        ),
    ),
    *rules(
        LEDGER,
        "an admission is activated within 30 days",
        (
            209,
            "an admission is activated years later",
            _PROPOSAL,
            [unless(209, "Admissions.sol", "block.timestamp > readyAt + ADMISSION_WINDOW")],
        ),
    ),
    *rules(
        LEDGER,
        "the council calls a recovery off",
        (
            210,
            "a recovery that was called off goes on",
            _CALLED_OFF,
            [skip(210, "Recoveries.sol", "slot.readyAt = 0;")],
        ),
        (
            218,
            "one councillor calls a recovery off",
            _CALLED_OFF,
            [
                skip(
                    218,
                    "Recoveries.sol",
                    "_checkCouncil(_digest(StructHash.flat(CANCEL_RECOVERY, at, 3)), m.epoch, council);",
                )
            ],
        ),
    ),
    *rules(
        LEDGER,
        "begins after the admission delay",
        (
            219,
            "two council keys seat an officer at once",
            _SEATED,
            [
                (
                    "Offices.sol",
                    "uint40 start = alone && m.roles",
                    "uint40 start = alone && !mutant(219) && m.roles",
                )
            ],
        ),
        (
            220,
            "two council keys give a reader's key at once",
            _KEY,
            [("Offices.sol", "uint40 start = alone ? ", "uint40 start = alone && !mutant(220) ? ")],
        ),
    ),
    *rules(
        LEDGER,
        "removes it before it begins",
        (
            211,
            "nobody takes away what the council alone gave",
            _SEATED,
            [("Offices.sol", _VETO, _VETO_BROKEN)],
        ),
        (212, "an oversight removes a seat that began", _SEATED, []),
        (213, "another department takes it away", _SEATED, []),
        (214, "any officer takes it away", _SEATED, []),
    ),
    *rules(
        LEDGER,
        "With the signature of an ADMIN of the department it begins at once",
        (
            221,
            "what an ADMIN signed too waits",
            story(
                "sharing_departments", "with_an_admin_of_the_department_behind_the_council_it_begins_at_once"
            ),
            [("Offices.sol", "                alone = false;", "                alone = mutant(221);")],
        ),
        (
            222,
            "any officer stands behind the council",
            story(
                "sharing_departments", "with_an_admin_of_the_department_behind_the_council_it_begins_at_once"
            ),
            [skip(222, "Offices.sol", "_requireSeatIn(second, department, ADMIN);")],
        ),
    ),
    *rules(
        LEDGER,
        "A seat with the same roles is prolonged by adding it again with a later end",
        (215, "an older message shortens a term", _TERM, [("Offices.sol", _RENEWAL, _RENEWAL_BROKEN)]),
        (216, "a prolonged seat has other roles", _TERM, []),
        (217, "a removed seat comes back", _TERM, []),
    ),
)

PEOPLE: Final[tuple[Rule, ...]] = (
    *rules(
        LEDGER,
        "two BUREAU officers of two departments, or the council",
        (
            223,
            "two bureau officers of one department suspend another",
            _SUSPENDED,
            [
                (
                    "Admissions.sol",
                    "if (one == other ||",
                    "if ((one == other && !mutant(223)) ||",
                )
            ],
        ),
        (
            224,
            "a department's own bureau is one of the two",
            _SUSPENDED,
            [
                (
                    "Admissions.sol",
                    "one == m.department || other == m.department)",
                    "(!mutant(224) && (one == m.department || other == m.department)))",
                )
            ],
        ),
        (
            225,
            "any officer suspends its department",
            _SUSPENDED,
            [
                (
                    "Admissions.sol",
                    "authority[0], m.department, ADMIN | CDO | OVERSIGHT)",
                    "authority[0], m.department, ADMIN | CDO | OVERSIGHT | (mutant(225) ? 2 : 0))",
                )
            ],
        ),
    ),
    *rules(
        LEDGER,
        "The BUREAU signature on core data comes from another department than the one that grants",
        (
            226,
            "a department's own bureau opens core data in an emergency",
            story("sharing_emergencies", "core_data_need_the_data_bureau_even_in_an_emergency"),
            [unless(226, "Emergencies.sol", "other == department")],
        ),
    ),
    *rules(
        LEDGER,
        "Retiring an asset: STEWARD and a second officer; not while paused",
        (
            227,
            "one officer signs twice and retires an asset",
            _RETIRED,
            [
                (
                    "AssetActs.sol",
                    "signatures[1], word.holder(), MAY_SECOND) == signer)",
                    "signatures[1], word.holder(), MAY_SECOND) == signer && !mutant(227))",
                )
            ],
        ),
        (
            228,
            "an asset is retired in a pause",
            _RETIRED,
            [("AssetActs.sol", _RETIRING, _RETIRING.replace("_require", "if (!mutant(228)) _require", 1))],
        ),
    ),
    *rules(
        LEDGER,
        "Removal follows rotations",
        (
            229,
            "a thief rotates away from a recovery",
            story("sharing_departments", "a_recovery_follows_the_seat_too"),
            [
                (
                    "Recoveries.sol",
                    "(address from, OfficerWord seat) = _whoHolds(m.from);",
                    "(address from, OfficerWord seat) = _whoHolds(m.from);\n"
                    "        if (mutant(229)) (from, seat) = (m.from, _seats[m.from]);",
                )
            ],
        ),
    ),
    *rules(
        LEDGER,
        "Whoever may give a service key, or audits, may remove it",
        (
            230,
            "an auditor's key is the ADMIN's to remove",
            _AUDITS,
            [
                (
                    "Offices.sol",
                    "_requireAuthority(digest, m.epoch, authority, m.department, _watchman(roles), 1)",
                    "_requireAuthority("
                    "digest, m.epoch, authority, m.department, mutant(230) ? ADMIN : _watchman(roles), 1)",
                )
            ],
        ),
        (
            231,
            "a department removes the city's auditor",
            _AUDITS,
            [unless(231, "Offices.sol", "taker != address(0) && roles & KEY_CITY_AUDITOR != 0")],
        ),
    ),
    *rules(
        LEDGER,
        "two open acts for a key, six for a department",
        (
            232,
            "a seventh act is not counted",
            _ACTS,
            [("Emergencies.sol", "if (!found ||", "if ((!found && !mutant(232)) ||")],
        ),
        (
            233,
            "a ratified act counts on against its officer",
            _ACTS,
            [skip(233, "Emergencies.sol", "--_openActsOf[slot.key];")],
        ),
    ),
    *rules(
        LEDGER,
        "`RestorePrivilege` names the acts",
        (
            234,
            "acts of another department are forgiven",
            _RESTORED,
            [
                (
                    "Emergencies.sol",
                    "if (g.grantee() != m.department ||",
                    "if ((g.grantee() != m.department && !mutant(234)) ||",
                )
            ],
        ),
        (
            235,
            "what was forgiven still counts",
            _RESTORED,
            [skip(235, "Emergencies.sol", "_closeAct(ids[i], g);")],
        ),
        (
            236,
            "one act forgiven forgives all",
            _RESTORED,
            [
                (
                    "Emergencies.sol",
                    "        emit ICouncil.PrivilegeRestored(",
                    "        if (mutant(236)) _emergencies[m.department] = EmergencyWord.wrap(0);\n"
                    "        emit ICouncil.PrivilegeRestored(",
                )
            ],
        ),
        (
            237,
            "an act is forgiven twice",
            _RESTORED,
            [unless(237, "Emergencies.sol", "slot.due != due")],
        ),
    ),
)
