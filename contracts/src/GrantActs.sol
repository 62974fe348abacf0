// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Cancel, IGrants, Revoke, Terms} from "./interfaces/IGrants.sol";
import {IUsage, Use} from "./interfaces/IUsage.sol";
import {StructHash} from "./lib/StructHash.sol";
import {CDO, GRANT_ACTIVE, GRANT_CANCELLED, GRANT_FLAG_DELEGATED, STEWARD, UNLIMITED} from "./types/Codes.sol";
import {GrantWord, packGrant} from "./types/GrantWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";
import {UseRules} from "./UseRules.sol";

/// @title The rarer acts on grants: delegation with its use and its end, and cancelling (IGrants, IUsage)
abstract contract GrantActs is UseRules {
    bytes32 private constant CANCEL = keccak256("Cancel(bytes32 grant,uint40 deadline)");

    /// @dev IGrants
    function delegate(Terms calldata t, Terms[] calldata chain, bytes[] calldata signatures)
        external
        returns (bytes32 id)
    {
        id = _idOf(t);
        _requireRunning();
        if (t.parent == 0) revert IGrants.ParentWrong(t.parent);
        GrantWord parent = _requireChain(t.parent, chain);
        GrantWord g = _wordOf(t, GRANT_ACTIVE | GRANT_FLAG_DELEGATED);
        if (g.grantee() == 0) revert IGrants.OfferInvalid(g.maxUses(), g.depth(), 0);
        _requireNarrower(g, parent);
        (, uint8 class) = _requireGrantable(g);
        address steward = _requireQuorum(id, signatures, parent.grantee(), class);
        _requireBothActive(parent.grantee(), g.grantee());
        _deduct(id, t.parent, g, parent);
        _open(id, t, g, steward);
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
    function useDelegated(Use calldata m, Terms[] calldata chain, bytes calldata signature) external {
        (address key, OfficerWord seat) = _attestor(m, signature);
        _record(m.grant, _grants[m.grant], _requireChain(m.grant, chain), m.total, key, seat);
        emit IUsage.Used(m.grant, m.total, m.logHead);
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

    /// @dev A child never exceeds its parent.
    function _requireNarrower(GrantWord g, GrantWord parent) private pure {
        if (g.asset() != parent.asset()) revert IGrants.WiderThanParent(1);
        if (g.right() != parent.right()) revert IGrants.WiderThanParent(2);
        if (g.notBefore() < parent.notBefore()) revert IGrants.WiderThanParent(3);
        if (g.expiry() > parent.expiry()) revert IGrants.WiderThanParent(4);
        if (g.depth() >= parent.depth()) revert IGrants.WiderThanParent(5);
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
