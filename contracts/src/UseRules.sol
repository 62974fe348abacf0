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

    /// @return key The signer.
    /// @return seat Its seat, whatever that is: `_record` asks.
    function _attestor(Use calldata m, bytes calldata signature)
        internal
        view
        returns (address key, OfficerWord seat)
    {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        if (block.timestamp > m.deadline) revert DeadlinePassed(m.deadline, block.timestamp);
        key = SignatureCheck.recover(_digest(StructHash.flat(USE, at, 4)), signature);
        seat = _seats[key];
    }

    /// @dev The other signer of use: the city's gateway. Also says why a seat is neither.
    function _requireGateway(address key, OfficerWord seat) private view {
        if (!seat.inOffice(block.timestamp)) revert NotInOffice(key);
        uint16 roles = seat.roles();
        if (roles & (ATTEST | GATEWAY) == 0) revert RoleMissing(key, roles, ATTEST);
        if (roles & GATEWAY == 0) revert IUsage.NotAttestor(key, seat.department());
        _requireActive(seat.department());
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
        if (!word.isPlain()) _requireAlive(g.asset(), word);
        uint24 holder = word.holderOf(g.right());
        if (!seat.serves(block.timestamp, holder, ATTEST)) _requireGateway(key, seat);
        _requireBothActive(holder, g.grantee());
        if (total <= g.uses()) revert IUsage.TotalNotHigher(id, total, g.uses());
        if (total > g.maxUses()) revert IUsage.UsesExhausted(id, total, g.maxUses());
        slot.word = g.withUses(total);
    }
}
