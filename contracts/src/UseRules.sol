// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GrantRules} from "./GrantRules.sol";
import {IUsage, Use} from "./interfaces/IUsage.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {AssetWord} from "./types/AssetWord.sol";
import {ATTEST, GATEWAY} from "./types/Codes.sol";
import {GrantWord} from "./types/GrantWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";

/// @title What every use goes through: the attest key, the parties, the total
abstract contract UseRules is GrantRules {
    bytes32 private constant USE = keccak256("Use(bytes32 grant,uint32 total,bytes32 logHead,uint40 deadline)");

    function _requireAttestor(Use calldata m, bytes calldata signature)
        internal
        view
        returns (address key, OfficerWord seat)
    {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        key = SignatureCheck.recover(_digest(StructHash.flat(USE, at, 4)), signature);
        seat = _requireAttestSeat(key);
    }

    function _requireAttestSeat(address key) internal view returns (OfficerWord seat) {
        seat = _seats[key];
        if (!seat.inOffice(block.timestamp)) revert NotInOffice(key);
        if (seat.roles() & (ATTEST | GATEWAY) == 0) revert RoleMissing(key, seat.roles(), ATTEST);
    }

    /// @dev The grant is live with its ancestors; asset, parties and attestor are checked here.
    function _record(
        bytes32 id,
        GrantSlot storage slot,
        GrantWord g,
        uint32 total,
        address key,
        OfficerWord seat
    ) internal {
        AssetWord word = _assets[g.asset()];
        _requireAlive(g.asset(), word);
        uint24 holder = word.holderOf(g.right());
        if (seat.department() != holder) {
            if (seat.roles() & GATEWAY == 0) revert IUsage.NotAttestor(key, seat.department());
            _requireActive(seat.department());
        }
        _requireBothActive(holder, g.grantee() == 0 ? holder : g.grantee());
        if (total <= g.uses()) revert IUsage.TotalNotHigher(id, total, g.uses());
        if (total > g.maxUses()) revert IUsage.UsesExhausted(id, total, g.maxUses());
        slot.word = g.withUses(total);
    }
}
