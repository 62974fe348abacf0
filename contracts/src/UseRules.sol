// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GrantRules} from "./GrantRules.sol";
import {IGrants} from "./interfaces/IGrants.sol";
import {IUsage, Use} from "./interfaces/IUsage.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {ATTEST, GATEWAY, GRANT_CANCELLED, USE_GRACE} from "./types/Codes.sol";
import {GrantWord} from "./types/GrantWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";

/// @title What every recorded total goes through: the attest key, the grant's time, the total
/// @notice A total gates no access. So it is asked only whether the grant was in force once and has ended not too
/// long ago: a suspension, a revocation or an expiry between a use and its record loses no use.
abstract contract UseRules is GrantRules {
    bytes32 private constant USE = keccak256("Use(bytes32 grant,uint32 total,bytes32 logHead,uint40 deadline)");

    uint8 internal constant WHY_UNKNOWN = 1;
    uint8 internal constant WHY_NOT_YET = 2;
    uint8 internal constant WHY_OVER = 3;
    uint8 internal constant WHY_NOT_HIGHER = 4;
    uint8 internal constant WHY_EXHAUSTED = 5;
    uint8 internal constant WHY_STEP = 6;
    uint8 internal constant WHY_STRANGER = 7;

    /// @return key The signer.
    /// @return seat Its seat: in office, of an active department, ATTEST or GATEWAY.
    function _attestor(bytes32 digest, bytes calldata signature) internal view returns (address key, OfficerWord seat) {
        key = SignatureCheck.recover(digest, signature);
        seat = _seats[key];
        _requireAttestor(key, seat);
        _requireActive(seat.department());
    }

    function _requireAttestor(address key, OfficerWord seat) private view {
        if (!seat.inOffice(block.timestamp)) revert NotInOffice(key);
        if (seat.roles() & (ATTEST | GATEWAY) == 0) revert RoleMissing(key, seat.roles(), ATTEST);
    }

    function _useDigest(Use calldata m) internal view returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        return _digest(StructHash.flat(USE, at, 4));
    }

    /// @dev Records one total, or says why not.
    function _record(Use calldata m, bytes calldata signature) internal {
        _requireInTime(m.deadline);
        address key = SignatureCheck.recover(_useDigest(m), signature);
        OfficerWord seat = _seats[key];
        bytes32 id = m.grant;
        uint32 total = m.total;
        GrantSlot storage slot = _grants[id];
        GrantWord g = slot.word;
        if (!g.takes(total, block.timestamp)) _refuse(id, g, total, _whyNot(g, total));
        if (!seat.serves(block.timestamp, _assets[g.asset()].holderOf(g.right()), ATTEST)) {
            _requireAttestor(key, seat);
            if (seat.roles() & GATEWAY == 0) revert IUsage.NotAttestor(key, seat.department());
        }
        _requireActive(seat.department());
        slot.word = g.withUses(total);
        _emitUsed(id, total, m.logHead);
    }

    /// @return Why this total is not recorded (`GrantWord.takes`), in one number.
    function _whyNot(GrantWord g, uint32 total) internal view returns (uint8) {
        uint8 state = g.state();
        if (state == 0 || state == GRANT_CANCELLED) return WHY_UNKNOWN;
        if (block.timestamp < g.notBefore()) return WHY_NOT_YET;
        if (block.timestamp >= uint256(g.expiry()) + USE_GRACE) return WHY_OVER;
        if (total <= g.uses()) return WHY_NOT_HIGHER;
        return total > g.maxUses() ? WHY_EXHAUSTED : WHY_STEP;
    }

    function _refuse(bytes32 id, GrantWord g, uint32 total, uint8 why) private pure {
        if (why == WHY_UNKNOWN) revert IGrants.GrantNotActive(id, g.status());
        if (why == WHY_NOT_YET) revert IGrants.GrantNotYet(id, g.notBefore());
        if (why == WHY_OVER) revert IGrants.GrantExpired(id, g.expiry());
        if (why == WHY_NOT_HIGHER) revert IUsage.TotalNotHigher(id, total, g.uses());
        if (why == WHY_EXHAUSTED) revert IUsage.UsesExhausted(id, total, g.maxUses());
        revert IUsage.StepTooLarge(id, total, g.uses());
    }

    /// @dev `emit IUsage.Used(id, total, logHead)` from scratch memory, 50 gas cheaper.
    function _emitUsed(bytes32 id, uint32 total, bytes32 logHead) internal {
        bytes32 topic = IUsage.Used.selector;
        assembly ("memory-safe") {
            mstore(0, total)
            mstore(32, logHead)
            log2(0, 64, topic, id)
        }
    }
}
