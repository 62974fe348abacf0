// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GrantRules} from "./GrantRules.sol";
import {IGrants, Terms} from "./interfaces/IGrants.sol";
import {IUsage, Usage as Total, Use, UseBatch} from "./interfaces/IUsage.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {AssetWord} from "./types/AssetWord.sol";
import {ATTEST, GATEWAY, GRANT_FLAG_DELEGATED, MACHINES} from "./types/Codes.sol";
import {GrantWord} from "./types/GrantWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";

/// @title Use of grants (IUsage)
abstract contract Usage is GrantRules {
    bytes32 private constant USE = keccak256("Use(bytes32 grant,uint32 total,bytes32 logHead,uint40 deadline)");
    bytes32 private constant USAGE = keccak256("Usage(bytes32 grant,uint32 total)");
    bytes32 private constant USE_BATCH = keccak256(
        "UseBatch(Usage[] uses,bytes32 logHead,uint40 deadline)Usage(bytes32 grant,uint32 total)"
    );

    /// @dev IUsage
    function use(Use calldata m, bytes calldata signature) external {
        (address key, OfficerWord seat) = _requireAttestor(m, signature);
        _record(m.grant, _requireDirect(m.grant), m.total, m.logHead, key, seat);
    }

    /// @dev IUsage
    function useDelegated(Use calldata m, Terms[] calldata chain, bytes calldata signature) external {
        (address key, OfficerWord seat) = _requireAttestor(m, signature);
        _record(m.grant, _requireChain(m.grant, chain), m.total, m.logHead, key, seat);
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
        OfficerWord seat = _requireAttestSeat(key);
        for (uint256 i = 0; i < uses.length; ++i) {
            bytes32 id = uses[i].grant;
            _record(id, _requireDirect(id), uses[i].total, m.logHead, key, seat);
        }
    }

    /// @dev IDepartments; here, because the audit log's anchor asks it every time.
    function attestKey(address key) external view returns (uint24 department, uint16 roles, bool active) {
        OfficerWord seat = _seats[key];
        department = seat.department();
        roles = seat.roles() & MACHINES;
        active = roles != 0 && _isActive(seat);
    }

    function _requireAttestor(Use calldata m, bytes calldata signature)
        private
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

    function _requireAttestSeat(address key) private view returns (OfficerWord seat) {
        seat = _seats[key];
        if (!seat.inOffice(block.timestamp)) revert NotInOffice(key);
        if (seat.roles() & (ATTEST | GATEWAY) == 0) revert RoleMissing(key, seat.roles(), ATTEST);
    }

    function _requireDirect(bytes32 id) private view returns (GrantWord g) {
        g = _grants[id];
        if (g.status() & GRANT_FLAG_DELEGATED != 0) revert IUsage.ChainNeeded(id);
        _requireLive(id, g);
    }

    /// @dev The grant is live with its ancestors; asset, parties and attestor are checked here.
    function _record(bytes32 id, GrantWord g, uint32 total, bytes32 logHead, address key, OfficerWord seat) private {
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
        _grants[id] = g.withUses(total);
        emit IUsage.Used(id, total, logHead);
    }
}
