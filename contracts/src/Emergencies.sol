// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GrantRules} from "./GrantRules.sol";
import {ICouncil, RestorePrivilege} from "./interfaces/ICouncil.sol";
import {IAssets} from "./interfaces/IAssets.sol";
import {BreakGlass, IGrants, Ratify} from "./interfaces/IGrants.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {
    BREAK_GLASS_MAX,
    BUREAU,
    CLASS_CORE,
    EMERGENCY,
    GRANT_ACTIVE,
    GRANT_FLAG_EMERGENCY,
    GRANT_FLAG_RATIFIED,
    OVERSIGHT,
    RATIFY_WINDOW,
    RIGHT_USE,
    UNLIMITED
} from "./types/Codes.sol";
import {EmergencyWord} from "./types/EmergencyWord.sol";
import {GrantWord, packGrant} from "./types/GrantWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";

/// @title Break-glass, its ratification and the loss of the privilege
abstract contract Emergencies is GrantRules {
    bytes32 private constant BREAK_GLASS = keccak256(
        "BreakGlass(uint64 asset,uint24 grantee,bytes32 reasonHash,uint40 until,uint40 deadline,uint64 salt)"
    );
    bytes32 private constant RATIFY = keccak256("Ratify(bytes32 grant,uint40 deadline)");
    bytes32 private constant RESTORE_PRIVILEGE =
        keccak256("RestorePrivilege(uint24 department,uint40 deadline,uint64 salt)");

    /// @dev IGrants
    function breakGlass(BreakGlass calldata m, bytes[] calldata signatures) external returns (bytes32 id) {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        id = StructHash.flat(BREAK_GLASS, at, 6);
        _requireInTime(m.deadline);
        _requireRunning();
        GrantWord before = _grants[id].word;
        if (!before.isEmpty()) revert IGrants.GrantExists(id, before.status());
        uint8 class = _requireAlive(m.asset, _assets[m.asset]);
        address signer = _requireBreakers(id, signatures, m.grantee, class);
        uint40 start = uint40(block.timestamp);
        if (m.until <= start) revert IGrants.WindowInvalid(start, m.until);
        if (m.until > start + BREAK_GLASS_MAX) revert IGrants.BreakGlassTooLong(m.until, start + BREAK_GLASS_MAX);
        _openAct(m.grantee, start + RATIFY_WINDOW);
        _grants[id].word = packGrant(
            GRANT_ACTIVE | GRANT_FLAG_EMERGENCY, RIGHT_USE, m.grantee, m.asset, start, m.until, UNLIMITED, 0
        );
        emit IGrants.GlassBroken(
            id, m.asset, m.grantee, m.reasonHash, start, m.until, start + RATIFY_WINDOW, signer
        );
    }

    /// @dev IGrants
    function ratify(Ratify calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        GrantWord g = _grants[m.grant].word;
        if (g.status() & GRANT_FLAG_EMERGENCY == 0) revert IGrants.NotEmergency(m.grant);
        if (g.status() & GRANT_FLAG_RATIFIED != 0) revert IGrants.AlreadyRatified(m.grant);
        uint40 due = g.notBefore() + RATIFY_WINDOW;
        if (block.timestamp > due) revert IGrants.RatifyTooLate(m.grant, due);
        address signer = SignatureCheck.recover(_digest(StructHash.flat(RATIFY, at, 2)), signature);
        uint24 department = _requireSeat(signer, OVERSIGHT).department();
        if (department == g.grantee()) revert IGrants.RatifierNotIndependent(department);
        _requireActive(department);
        _grants[m.grant].word = g.withFlag(GRANT_FLAG_RATIFIED);
        (EmergencyWord changed,) = _emergencies[g.grantee()].closed(due);
        _emergencies[g.grantee()] = changed;
        emit IGrants.Ratified(m.grant, department, signer);
    }

    /// @dev ICouncil
    function restorePrivilege(RestorePrivilege calldata m, bytes[] calldata council) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(RESTORE_PRIVILEGE, at, 3);
        _requireInTime(m.deadline);
        _requireRunning();
        _once(structHash);
        _checkCouncil(_digest(structHash), council);
        EmergencyWord word = _emergencies[m.department];
        for (uint40 due = word.overdue(block.timestamp); due != 0; due = word.overdue(block.timestamp)) {
            (word,) = word.closed(due);
        }
        _emergencies[m.department] = word;
        emit ICouncil.PrivilegeRestored(m.department, structHash);
    }

    /// @dev EMERGENCY of the department that needs the data; for core data a BUREAU too.
    function _requireBreakers(bytes32 id, bytes[] calldata signatures, uint24 department, uint8 class)
        private
        returns (address signer)
    {
        uint256 need = class == CLASS_CORE ? 2 : 1;
        _requireCount(signatures.length, need);
        bytes32 digest = _digest(id);
        signer = SignatureCheck.recoverAt(digest, signatures, 0);
        _requireSeatIn(signer, department, EMERGENCY);
        _requireActive(department);
        if (need == 1) return signer;
        address bureau = SignatureCheck.recoverAt(digest, signatures, 1);
        if (bureau == signer) revert SignerRepeated(bureau);
        _requireActive(_requireSeat(bureau, BUREAU).department());
        emit IAssets.CoSigned(id, bureau, BUREAU);
    }

    function _openAct(uint24 department, uint40 due) private {
        EmergencyWord word = _emergencies[department];
        uint40 overdue = word.overdue(block.timestamp);
        if (overdue != 0) revert IGrants.PrivilegeLost(department, overdue);
        (EmergencyWord changed, bool found) = word.opened(due);
        if (!found) revert IGrants.TooManyOpenActs(department);
        _emergencies[department] = changed;
    }
}
