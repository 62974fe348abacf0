// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IGrants} from "./interfaces/IGrants.sol";
import {IUsage, Usage as Total, Use, UseBatch} from "./interfaces/IUsage.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {GRANT_FLAG_DELEGATED, MACHINES} from "./types/Codes.sol";
import {GrantWord} from "./types/GrantWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";
import {UseRules} from "./UseRules.sol";

/// @title Use of direct grants, single and batch (IUsage; delegated grants are in GrantActs)
abstract contract Usage is UseRules {
    bytes32 private constant USAGE = keccak256("Usage(bytes32 grant,uint32 total)");
    bytes32 private constant USE_BATCH = keccak256(
        "UseBatch(Usage[] uses,bytes32 logHead,uint40 deadline)Usage(bytes32 grant,uint32 total)"
    );

    /// @dev IUsage
    function use(Use calldata m, bytes calldata signature) external {
        (address key, OfficerWord seat) = _attestor(m, signature);
        bytes32 id = m.grant;
        uint32 total = m.total;
        GrantSlot storage slot = _grants[id];
        GrantWord g = slot.word;
        if (!g.isOpenAlone(block.timestamp)) _refuse(id, g);
        _record(id, slot, g, total, key, seat);
        _emitUsed(id, total, m.logHead);
    }

    /// @dev IUsage
    function useBatch(UseBatch calldata m, bytes calldata signature) external {
        _requireInTime(m.deadline);
        Total[] calldata uses = m.uses;
        if (uses.length == 0) revert IGrants.BatchEmpty();
        bytes32[] memory hashes = new bytes32[](uses.length);
        for (uint256 i = 0; i < uses.length; ++i) {
            Total calldata one = uses[i];
            uint256 at;
            assembly ("memory-safe") {
                at := one
            }
            hashes[i] = StructHash.flat(USAGE, at, 2);
        }
        bytes32 structHash = keccak256(abi.encode(USE_BATCH, StructHash.list(hashes), m.logHead, m.deadline));
        address key = SignatureCheck.recover(_digest(structHash), signature);
        OfficerWord seat = _seats[key];
        for (uint256 i = 0; i < uses.length; ++i) {
            bytes32 id = uses[i].grant;
            GrantSlot storage slot = _grants[id];
            GrantWord g = slot.word;
            if (!g.isOpenAlone(block.timestamp)) _refuse(id, g);
            _record(id, slot, g, uses[i].total, key, seat);
            emit IUsage.Used(id, uses[i].total, m.logHead);
        }
    }

    /// @dev IDepartments; here, because the audit log's anchor asks it every time.
    function attestKey(address key) external view returns (uint24 department, uint16 roles, bool active) {
        OfficerWord seat = _seats[key];
        department = seat.department();
        roles = seat.roles() & MACHINES;
        active = roles != 0 && _isActive(seat);
    }

    /// @dev `emit IUsage.Used(id, total, logHead)` from scratch memory, 50 gas cheaper.
    function _emitUsed(bytes32 id, uint32 total, bytes32 logHead) private {
        bytes32 topic = IUsage.Used.selector;
        assembly ("memory-safe") {
            mstore(0, total)
            mstore(32, logHead)
            log2(0, 64, topic, id)
        }
    }

    /// @dev Says why a grant cannot be used alone.
    function _refuse(bytes32 id, GrantWord g) private view {
        if (g.status() & GRANT_FLAG_DELEGATED != 0) revert IUsage.ChainNeeded(id);
        _requireLive(id, g);
    }
}
