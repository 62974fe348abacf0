// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Cancel, IGrants, ReplaceGrant, Revoke, Terms} from "./interfaces/IGrants.sol";
import {CorrectUses, IUsage, Use} from "./interfaces/IUsage.sol";
import {StructHash} from "./lib/StructHash.sol";
import {
    CDO,
    GATEWAY,
    GRANT_ACTIVE,
    GRANT_CANCELLED,
    GRANT_FLAG_DELEGATED,
    GRANT_REPLACED,
    STEWARD,
    UNLIMITED
} from "./types/Codes.sol";
import {GrantWord, packGrant} from "./types/GrantWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";
import {UseRules} from "./UseRules.sol";

/// @title The rarer acts on grants: delegation and its end, replacing, correcting, cancelling (IGrants, IUsage)
abstract contract GrantActs is UseRules {
    bytes32 private constant CANCEL = keccak256("Cancel(bytes32 grant,uint40 deadline)");
    bytes32 private constant CORRECT_USES =
        keccak256("CorrectUses(bytes32 grant,uint32 total,uint40 deadline,uint64 salt)");
    bytes32 private constant REPLACE_GRANT = keccak256("ReplaceGrant(bytes32 grant,bytes32 by,uint40 deadline)");

    /// @dev IGrants
    function delegate(Terms calldata t, Terms[] calldata chain, bytes[] calldata signatures)
        external
        returns (bytes32 id)
    {
        GrantWord parent = _grants[t.parent].word;
        if (!parent.isEmpty() && parent.maxUses() != UNLIMITED) revert IGrants.TotalNeeded(t.parent);
        return _delegate(t, chain, signatures);
    }

    /// @dev IGrants
    function delegateCounted(
        Terms calldata t,
        Terms[] calldata chain,
        Use calldata lastUse,
        bytes[] calldata signatures,
        bytes calldata useSignature
    ) external returns (bytes32 id) {
        if (lastUse.grant != t.parent) revert IGrants.ParentWrong(lastUse.grant);
        // A total of an hour ago says nothing of the uses since: it is signed for this delegation.
        if (lastUse.logHead != _idOf(t)) revert IGrants.TotalForeign(t.parent, lastUse.logHead);
        // The total may stand already: then there is nothing to record.
        GrantWord parent = _grants[t.parent].word;
        if (lastUse.total != parent.uses()) {
            _record(lastUse, useSignature);
        } else {
            _requireInTime(lastUse.deadline);
            (address key, OfficerWord seat) = _attestor(_useDigest(lastUse), useSignature);
            if (seat.roles() & GATEWAY == 0 && seat.department() != _assets[parent.asset()].holderOf(parent.right())) {
                revert IUsage.NotAttestor(key, seat.department());
            }
        }
        return _delegate(t, chain, signatures);
    }

    /// @dev IGrants
    function revokeDelegated(Revoke calldata m, Terms calldata t, bytes calldata signature) external {
        bytes32 id = _idOf(t);
        if (id != m.grant) revert IGrants.ChainWrong(m.grant, id);
        if (t.parent == 0) revert IGrants.ParentWrong(t.parent);
        GrantSlot storage slot = _grants[id];
        GrantWord g = _requireRevocable(id, slot);
        _revoke(m, slot, g, _grants[t.parent].word.grantee(), signature);
    }

    /// @dev IUsage
    function correctUses(CorrectUses calldata m, bytes calldata holder, bytes calldata grantee) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(CORRECT_USES, at, 4);
        _requireInTime(m.deadline);
        _requireRunning();
        _once(structHash, m.salt);
        GrantSlot storage slot = _grants[m.grant];
        GrantWord g = slot.word;
        if (m.total >= g.uses()) revert IUsage.CorrectionNotLower(m.grant, m.total, g.uses());
        bytes32 digest = _digest(structHash);
        uint24 department = _requireAsset(g.asset()).holderOf(g.right());
        address one = _signedByEither(digest, holder, department, STEWARD | CDO);
        address other = _signedByEither(digest, grantee, g.grantee(), STEWARD | CDO);
        if (one == other) revert SignerRepeated(one);
        _requireBothActive(department, g.grantee());
        slot.word = g.withUses(m.total);
        emit IUsage.UsesCorrected(m.grant, m.total, one, other, structHash);
    }

    /// @dev IGrants
    function replaceGrant(ReplaceGrant calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        GrantSlot storage slot = _grants[m.grant];
        GrantWord g = _requireRevocable(m.grant, slot);
        GrantWord by = _grants[m.by].word;
        if (m.by == m.grant || by.status() != GRANT_ACTIVE || g.status() != GRANT_ACTIVE) {
            revert IGrants.GrantNotActive(m.by, by.status());
        }
        if (by.place() != g.place() || by.grantee() != g.grantee()) revert IGrants.ReplacementDiffers(m.grant, m.by);
        address signer = _signedByEither(
            _digest(StructHash.flat(REPLACE_GRANT, at, 3)), signature, _assets[g.asset()].holderOf(g.right()), STEWARD | CDO
        );
        slot.word = g.ended(GRANT_REPLACED, block.timestamp);
        _replacedBy[m.grant] = m.by;
        emit IGrants.Replaced(m.grant, m.by, signer);
    }

    /// @dev IGrants
    function cancel(Cancel calldata m, Terms calldata t, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        bytes32 id = _idOf(t);
        if (id != m.grant) revert IGrants.ChainWrong(m.grant, id);
        GrantWord g = _grants[id].word;
        if (!g.isEmpty()) revert IGrants.GrantExists(id, g.status());
        g = _wordOf(t, GRANT_CANCELLED);
        uint24 grantor;
        if (t.parent == 0) {
            grantor = _requireAsset(t.asset).holderOf(g.right());
        } else {
            GrantWord parent = _grants[t.parent].word;
            grantor = parent.grantee();
            // Nobody could delegate these: nor may the chain say of a stranger's asset that its grant was cancelled.
            if (grantor != 0 && parent.asset() != g.asset()) revert IGrants.WiderThanParent(1);
        }
        address signer = _signedByEither(_digest(StructHash.flat(CANCEL, at, 2)), signature, grantor, STEWARD | CDO);
        // What the event says and no more: nobody asks anything else of terms that were never in force.
        _grants[id].word = packGrant(GRANT_CANCELLED, 0, 0, g.asset(), 0, 0, 0, 0);
        emit IGrants.Cancelled(id, t.asset, signer);
    }

    function _delegate(Terms calldata t, Terms[] calldata chain, bytes[] calldata signatures)
        private
        returns (bytes32 id)
    {
        id = _idOf(t);
        _requireOpen();
        if (t.parent == 0) revert IGrants.ParentWrong(t.parent);
        GrantWord parent = _requireChain(t.parent, chain);
        GrantWord g = _wordOf(t, GRANT_ACTIVE | GRANT_FLAG_DELEGATED);
        if (g.grantee() == 0) revert IGrants.OfferInvalid(g.maxUses(), g.depth(), 0);
        _requireNarrower(g, parent);
        (uint24 holder, uint8 class) = _requireGrantable(g);
        address steward = _requireQuorum(id, signatures, parent.grantee(), class);
        _requireActive(holder);
        _requireBothActive(parent.grantee(), g.grantee());
        _deduct(id, t.parent, g, parent);
        _open(id, t, g, steward);
    }

    /// @dev A child never exceeds its parent.
    function _requireNarrower(GrantWord g, GrantWord parent) private pure {
        if (g.asset() != parent.asset()) revert IGrants.WiderThanParent(1);
        if (g.right() != parent.right()) revert IGrants.WiderThanParent(2);
        if (g.notBefore() < parent.notBefore()) revert IGrants.WiderThanParent(3);
        if (g.expiry() > parent.expiry()) revert IGrants.WiderThanParent(4);
        if (g.depth() >= parent.depth()) revert IGrants.WiderThanParent(5);
        if (g.mayDerive()) revert IGrants.WiderThanParent(7);
    }

    /// @dev What the child may use the parent may no longer use: ten children of 100 cannot outspend a parent
    /// of 100.
    function _deduct(bytes32 id, bytes32 parentId, GrantWord g, GrantWord parent) private {
        if (parent.maxUses() == UNLIMITED) return;
        if (g.maxUses() > parent.maxUses() - parent.uses()) revert IGrants.WiderThanParent(6);
        uint32 left = parent.maxUses() - g.maxUses();
        _grants[parentId].word = parent.withMaxUses(left);
        emit IGrants.Deducted(parentId, id, left);
    }
}
