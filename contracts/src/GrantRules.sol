// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssetRules} from "./AssetRules.sol";
import {IAssets} from "./interfaces/IAssets.sol";
import {IGranted, IGrants, Revoke, Terms} from "./interfaces/IGrants.sol";
import {StructHash} from "./lib/StructHash.sol";
import {AssetWord} from "./types/AssetWord.sol";
import {
    CDO,
    DEPARTMENT_ACTIVE,
    GRANT_ACTIVE,
    GRANT_REPLACED,
    GRANT_REVOKED,
    RIGHT_OPERATE,
    SHARING_NONE,
    SHARING_UNCONDITIONAL,
    STEWARD,
    UNLIMITED
} from "./types/Codes.sol";
import {GrantWord} from "./types/GrantWord.sol";

/// @title What every grant goes through: its word, its creation, its life, its end
abstract contract GrantRules is AssetRules, IGranted {
    bytes32 private constant TERMS = keccak256(
        "Terms(uint64 asset,uint24 grantee,uint8 right,uint40 notBefore,uint40 expiry,uint32 maxUses,uint8 depth,uint40 deadline,bytes32 termsHash,bytes32 parent,uint64 salt)"
    );

    bytes32 private constant REVOKE = keccak256("Revoke(bytes32 grant,uint8 reason,uint40 deadline)");

    /// @return The id of the grant with these terms.
    function _idOf(Terms calldata t) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := t
        }
        return StructHash.flat(TERMS, at, 11);
    }

    /// @dev Active and in its time; asset and ancestors are asked elsewhere.
    function _requireLive(bytes32 id, GrantWord g) internal view {
        if (g.isOpen(block.timestamp)) return;
        if (g.state() != GRANT_ACTIVE) revert IGrants.GrantNotActive(id, g.status());
        if (block.timestamp < g.notBefore()) revert IGrants.GrantNotYet(id, g.notBefore());
        revert IGrants.GrantExpired(id, g.expiry());
    }

    /// @dev What hangs below a grant lives while it does, or while the grant does that replaces it. All departments on
    /// the way are active. Spent or wholly delegated it may be.
    function _requireAncestor(bytes32 id, GrantWord g) private view {
        while (g.state() == GRANT_REPLACED) {
            id = _replacedBy[id];
            g = _grants[id].word;
        }
        _requireLive(id, g);
        _requireActive(g.grantee());
    }

    /// @return Whether `_requireAncestor` passes.
    function _isAncestor(bytes32 id) internal view returns (bool) {
        GrantWord g = _grants[id].word;
        while (g.state() == GRANT_REPLACED) {
            id = _replacedBy[id];
            g = _grants[id].word;
        }
        return g.isOpen(block.timestamp) && _standing(g.grantee()) == DEPARTMENT_ACTIVE;
    }

    /// @dev The chain must be the terms of `id`, of its parent, ... up to the root, all live.
    /// @return first The word of `id`.
    function _requireChain(bytes32 id, Terms[] calldata chain) internal view returns (GrantWord first) {
        for (uint256 i = 0; i < chain.length; ++i) {
            bytes32 got = _idOf(chain[i]);
            if (got != id) revert IGrants.ChainWrong(id, got);
            GrantWord g = _grants[id].word;
            if (i == 0) {
                _requireLive(id, g);
                first = g;
            } else {
                _requireAncestor(id, g);
            }
            id = chain[i].parent;
        }
        if (id != 0) revert IGrants.ChainWrong(id, 0);
    }

    /// @dev The asset is alive and shared; a standing offer is of unconditional data, unlimited, and final.
    function _requireGrantable(GrantWord g) internal view returns (uint24 grantor, uint8 class) {
        AssetWord word = _assets[g.asset()];
        uint8 sharing;
        (class, sharing) = _requireGrades(g.asset(), word);
        if (sharing == SHARING_NONE) revert IGrants.AssetNotShared(g.asset());
        if (g.grantee() == 0 && (g.maxUses() != UNLIMITED || g.depth() != 0 || sharing != SHARING_UNCONDITIONAL)) {
            revert IGrants.OfferInvalid(g.maxUses(), g.depth(), sharing);
        }
        grantor = word.holderOf(g.right());
    }

    /// @dev The last step of every creation; signatures, asset and parties have been checked.
    function _open(bytes32 id, Terms calldata t, GrantWord g, address steward) internal {
        if (block.timestamp > t.deadline) revert DeadlinePassed(t.deadline, block.timestamp);
        if (g.expiry() <= g.notBefore() || block.timestamp >= g.expiry()) {
            revert IGrants.WindowInvalid(g.notBefore(), g.expiry());
        }
        if (g.maxUses() == 0) revert IGrants.UsesInvalid(0);
        GrantSlot storage slot = _grants[id];
        GrantWord before = slot.word;
        if (!before.isEmpty()) revert IGrants.GrantExists(id, before.status());
        slot.word = g;
        _emitGranted(id, t, g, steward);
    }

    /// @dev `emit Granted(id, t.asset, t.grantee, t.right, ..., t.salt, steward)`. The event's data are
    /// the Terms from `right` on, as they lie in calldata, and the officer; encoding them one by one costs
    /// 700 gas more.
    function _emitGranted(bytes32 id, Terms calldata t, GrantWord g, address steward) internal {
        bytes32 topic = IGranted.Granted.selector;
        uint64 asset_ = g.asset();
        uint24 grantee = g.grantee();
        assembly ("memory-safe") {
            let p := mload(0x40)
            calldatacopy(p, add(t, 64), 288)
            mstore(add(p, 288), steward)
            log4(p, 320, topic, id, asset_, grantee)
        }
    }

    /// @dev The word of these terms. `StructHash` takes them as they lie, so that every member is held to its
    /// width here, in one comparison; the right is one of three.
    function _wordOf(Terms calldata t, uint8 status) internal pure returns (GrantWord g) {
        bool malformed;
        uint256 right;
        assembly ("memory-safe") {
            let asset_ := calldataload(t)
            let grantee := calldataload(add(t, 32))
            right := calldataload(add(t, 64))
            let notBefore := calldataload(add(t, 96))
            let expiry := calldataload(add(t, 128))
            let maxUses := calldataload(add(t, 160))
            let depth := calldataload(add(t, 192))
            let deadline := calldataload(add(t, 224))
            let salt_ := calldataload(add(t, 320))
            malformed := or(
                or(or(shr(64, or(asset_, salt_)), shr(24, grantee)), or(shr(8, or(right, depth)), shr(32, maxUses))),
                shr(40, or(or(notBefore, expiry), deadline))
            )
            g := or(
                or(or(status, shl(8, right)), or(shl(16, grantee), shl(40, asset_))),
                or(or(shl(104, notBefore), shl(144, expiry)), or(shl(184, maxUses), shl(248, depth)))
            )
        }
        if (malformed) revert IGrants.TermsMalformed();
        if (right == 0 || right > RIGHT_OPERATE) revert IAssets.RightInvalid(uint8(right));
    }

    function _requireRevocable(bytes32 id, GrantSlot storage slot) internal view returns (GrantWord g) {
        g = slot.word;
        if (g.state() != GRANT_ACTIVE) revert IGrants.GrantNotActive(id, g.status());
    }

    function _revoke(
        Revoke calldata m,
        GrantSlot storage slot,
        GrantWord g,
        uint24 department,
        bytes calldata signature
    ) internal {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        address signer =
            _signedByEither(_digest(StructHash.flat(REVOKE, at, 3)), signature, department, STEWARD | CDO);
        slot.word = g.ended(GRANT_REVOKED, block.timestamp);
        emit IGrants.Revoked(m.grant, m.reason, signer);
    }
}
