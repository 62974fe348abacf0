// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IGrants} from "./interfaces/IGrants.sol";
import {IUsage, Usage as Total, Use, UseBatch} from "./interfaces/IUsage.sol";
import {StructHash} from "./lib/StructHash.sol";
import {GATEWAY, MACHINES} from "./types/Codes.sol";
import {GrantWord} from "./types/GrantWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";
import {UseRules} from "./UseRules.sol";

/// @title Recorded totals, single and batch (IUsage; the correction is in GrantActs)
abstract contract Usage is UseRules {
    bytes32 private constant USAGE = keccak256("Usage(bytes32 grant,uint32 total)");
    bytes32 private constant USE_BATCH = keccak256(
        "UseBatch(Usage[] uses,bytes32 logHead,uint40 deadline)Usage(bytes32 grant,uint32 total)"
    );

    /// @dev IUsage
    function use(Use calldata m, bytes calldata signature) external {
        _record(m, signature);
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
        (, OfficerWord seat) = _attestor(_digest(structHash), signature);
        bool everywhere = seat.roles() & GATEWAY != 0;
        uint24 department = seat.department();
        bool any = false;
        for (uint256 i = 0; i < uses.length; ++i) {
            bytes32 id = uses[i].grant;
            uint32 total = uses[i].total;
            GrantSlot storage slot = _grants[id];
            GrantWord g = slot.word;
            if (!g.takes(total, block.timestamp)) {
                emit IUsage.UseSkipped(id, total, _whyNot(g, total));
                continue;
            }
            if (!everywhere && _assets[g.asset()].holderOf(g.right()) != department) {
                emit IUsage.UseSkipped(id, total, WHY_STRANGER);
                continue;
            }
            any = true;
            slot.word = g.withUses(total);
            emit IUsage.Used(id, total, m.logHead);
        }
        if (!any) revert IGrants.NothingDone();
    }

    /// @dev IDepartments; here, because the audit log's anchor asks it every time.
    function attestKey(address key) external view returns (uint24 department, uint16 roles, bool active) {
        OfficerWord seat = _seats[key];
        department = seat.department();
        roles = seat.roles() & MACHINES;
        active = roles != 0 && _isActive(seat);
    }
}
