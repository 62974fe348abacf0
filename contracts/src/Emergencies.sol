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
    OPEN_ACTS_OF_ONE,
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
        keccak256("RestorePrivilege(uint24 department,bytes32[] grants,uint32 epoch,uint40 deadline,uint64 salt)");

    /// @dev IGrants
    function breakGlass(BreakGlass calldata m, bytes[] calldata signatures) external returns (bytes32 id) {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        id = StructHash.flat(BREAK_GLASS, at, 6);
        _requireClean(m.salt);
        _requireInTime(m.deadline);
        _requireOpen();
        GrantWord before = _grants[id].word;
        if (!before.isEmpty()) revert IGrants.GrantExists(id, before.status());
        uint8 class = _requireAlive(m.asset, _assets[m.asset]);
        address signer = _requireBreakers(id, signatures, m.grantee, class);
        uint40 start = uint40(block.timestamp);
        if (m.until <= start) revert IGrants.WindowInvalid(start, m.until);
        if (m.until > start + BREAK_GLASS_MAX) revert IGrants.BreakGlassTooLong(m.until, start + BREAK_GLASS_MAX);
        _openAct(m.asset, m.grantee, start + RATIFY_WINDOW, signer);
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
        _closeAct(m.grant, g);
        emit IGrants.Ratified(m.grant, department, signer);
    }

    /// @dev ICouncil
    function restorePrivilege(RestorePrivilege calldata m, bytes[] calldata council) external {
        bytes32[] calldata ids = m.grants;
        uint256 at;
        assembly ("memory-safe") {
            at := ids.offset
        }
        bytes32 structHash = keccak256(
            abi.encode(
                RESTORE_PRIVILEGE, m.department, StructHash.words(at, ids.length), m.epoch, m.deadline, m.salt
            )
        );
        _requireInTime(m.deadline);
        _requireRunning();
        _once(structHash);
        _checkCouncil(_digest(structHash), m.epoch, council);
        for (uint256 i = 0; i < ids.length; ++i) {
            GrantWord g = _grants[ids[i]].word;
            if (g.grantee() != m.department || g.status() & GRANT_FLAG_EMERGENCY == 0) {
                revert IGrants.NotEmergency(ids[i]);
            }
            if (g.status() & GRANT_FLAG_RATIFIED != 0) revert IGrants.AlreadyRatified(ids[i]);
            uint40 due = g.notBefore() + RATIFY_WINDOW;
            if (block.timestamp <= due) revert IGrants.RatificationOpen(ids[i], due);
            _closeAct(ids[i], g);
        }
        emit ICouncil.PrivilegeRestored(m.department, ids, structHash);
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
        (address bureau, uint24 other) = _signedByBureau(digest, signatures, 1);
        if (other == department) revert IAssets.BureauNotIndependent(other);
        emit IAssets.CoSigned(id, bureau, BUREAU);
    }

    /// @dev One for an asset and department, two for an officer, six for a department: one thief neither keeps an asset
    /// open by act after act, nor takes the department's means in an emergency. A rotation starts no new count.
    function _openAct(uint64 asset_, uint24 department, uint40 due, address key) private {
        EmergencyWord word = _emergencies[department];
        uint40 overdue = word.overdue(block.timestamp);
        if (overdue != 0) revert IGrants.PrivilegeLost(department, overdue);
        address first = _firstKeys[key];
        if (first != address(0)) key = first;
        OpenActSlot storage slot = _openActs[uint256(asset_) << 24 | department];
        if (slot.due != 0) revert IGrants.ActOpen(asset_, department, slot.due);
        (EmergencyWord changed, bool found) = word.opened(due);
        if (!found || _openActsOf[key] == OPEN_ACTS_OF_ONE) revert IGrants.TooManyOpenActs(department, key);
        _emergencies[department] = changed;
        _openActs[uint256(asset_) << 24 | department] = OpenActSlot(key, due);
        ++_openActsOf[key];
    }

    /// @dev It was ratified, or the council lets it be.
    function _closeAct(bytes32 id, GrantWord g) private {
        uint24 department = g.grantee();
        uint40 due = g.notBefore() + RATIFY_WINDOW;
        OpenActSlot storage slot = _openActs[uint256(g.asset()) << 24 | department];
        if (slot.due != due) revert IGrants.AlreadyRatified(id);
        (EmergencyWord changed,) = _emergencies[department].closed(due);
        _emergencies[department] = changed;
        --_openActsOf[slot.key];
        slot.due = 0;
    }
}
