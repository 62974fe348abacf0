// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GrantRules} from "./GrantRules.sol";
import {Cancel, GrantBatch, GrantView, IGrants, Revoke, RevokeBatch, Terms} from "./interfaces/IGrants.sol";
import {IAssets} from "./interfaces/IAssets.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {AssetWord} from "./types/AssetWord.sol";
import {
    CDO,
    GRANT_ACTIVE,
    GRANT_CANCELLED,
    GRANT_FLAG_DELEGATED,
    GRANT_REVOKED,
    RIGHT_HOLD,
    RIGHT_OPERATE,
    SHARING_NONE,
    SHARING_UNCONDITIONAL,
    STEWARD,
    UNLIMITED
} from "./types/Codes.sol";
import {GrantWord, packGrant} from "./types/GrantWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";

/// @title Grants: create, delegate, revoke, cancel (IGrants; break-glass is in Emergencies)
abstract contract Grants is GrantRules {
    bytes32 private constant GRANT_BATCH = keccak256(
        "GrantBatch(Terms[] grants,uint40 deadline)Terms(uint64 asset,uint24 grantee,uint8 right,uint40 notBefore,uint40 expiry,uint32 maxUses,uint8 depth,uint40 deadline,bytes32 termsHash,bytes32 parent,uint64 salt)"
    );
    bytes32 private constant REVOKE = keccak256("Revoke(bytes32 grant,uint8 reason,uint40 deadline)");
    bytes32 private constant REVOKE_BATCH =
        keccak256("RevokeBatch(bytes32[] grants,uint8 reason,uint40 deadline)");
    bytes32 private constant CANCEL = keccak256("Cancel(bytes32 grant,uint40 deadline)");

    // ---- Create ----------------------------------------------------------------------------------------------

    /// @dev IGrants
    function grant(Terms calldata t, bytes[] calldata signatures) external returns (bytes32 id) {
        id = _idOf(t);
        _requireRunning();
        if (t.parent != 0) revert IGrants.ParentWrong(t.parent);
        (AssetWord word, uint8 class) = _requireGrantable(t);
        address steward = _requireQuorum(id, signatures, word.holderOf(t.right), class);
        _open(id, t, word, 0, steward);
    }

    /// @dev IGrants
    function grantBatch(GrantBatch calldata m, bytes[] calldata signatures) external {
        _requireInTime(m.deadline);
        _requireRunning();
        uint256 n = m.grants.length;
        if (n == 0) revert IGrants.BatchEmpty();
        bytes32[] memory ids = new bytes32[](n);
        uint8 class;
        uint24 grantor;
        for (uint256 i = 0; i < n; ++i) {
            Terms calldata t = m.grants[i];
            ids[i] = _idOf(t);
            if (t.parent != 0) revert IGrants.ParentWrong(t.parent);
            (AssetWord word, uint8 grade) = _requireGrantable(t);
            if (grade > class) class = grade;
            uint24 holder = word.holderOf(t.right);
            if (i == 0) grantor = holder;
            else if (holder != grantor) revert IAssets.NotRightHolder(t.asset, t.right, holder, grantor);
        }
        bytes32 structHash = keccak256(abi.encode(GRANT_BATCH, StructHash.list(ids), m.deadline));
        address steward = _requireQuorum(structHash, signatures, grantor, class);
        for (uint256 i = 0; i < n; ++i) {
            Terms calldata t = m.grants[i];
            _open(ids[i], t, _assets[t.asset], 0, steward);
        }
    }

    /// @dev IGrants
    function delegate(Terms calldata t, Terms[] calldata chain, bytes[] calldata signatures)
        external
        returns (bytes32 id)
    {
        id = _idOf(t);
        _requireRunning();
        if (t.parent == 0) revert IGrants.ParentWrong(t.parent);
        GrantWord parent = _requireChain(t.parent, chain);
        _requireNarrower(t, parent);
        (AssetWord word, uint8 class) = _requireGrantable(t);
        address steward = _requireQuorum(id, signatures, parent.grantee(), class);
        _deduct(id, t, parent);
        _open(id, t, word, GRANT_FLAG_DELEGATED, steward);
    }

    // ---- End -------------------------------------------------------------------------------------------------

    /// @dev IGrants
    function revoke(Revoke calldata m, bytes calldata signature) external {
        GrantWord g = _requireRevocable(m.grant);
        uint24 holder = _assets[g.asset()].holderOf(g.right());
        _revoke(m, g, holder, signature);
    }

    /// @dev IGrants
    function revokeDelegated(Revoke calldata m, Terms calldata t, bytes calldata signature) external {
        bytes32 id = _idOf(t);
        if (id != m.grant) revert IGrants.ChainWrong(m.grant, id);
        if (t.parent == 0) revert IGrants.ParentWrong(t.parent);
        _revoke(m, _requireRevocable(id), _grants[t.parent].grantee(), signature);
    }

    /// @dev IGrants
    function revokeBatch(RevokeBatch calldata m, bytes calldata signature) external {
        _requireInTime(m.deadline);
        bytes32[] calldata ids = m.grants;
        if (ids.length == 0) revert IGrants.BatchEmpty();
        uint256 at;
        assembly ("memory-safe") {
            at := ids.offset
        }
        bytes32 structHash =
            keccak256(abi.encode(REVOKE_BATCH, StructHash.words(at, ids.length), m.reason, m.deadline));
        address signer = SignatureCheck.recover(_digest(structHash), signature);
        OfficerWord seat = _requireSeat(signer, 0);
        if (seat.roles() & (STEWARD | CDO) == 0) revert RoleMissing(signer, seat.roles(), STEWARD | CDO);
        for (uint256 i = 0; i < ids.length; ++i) {
            GrantWord g = _requireRevocable(ids[i]);
            uint24 holder = _assets[g.asset()].holderOf(g.right());
            if (holder != seat.department()) revert WrongDepartment(signer, seat.department(), holder);
            _grants[ids[i]] = g.withState(GRANT_REVOKED);
            emit IGrants.Revoked(ids[i], m.reason, signer);
        }
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
        GrantWord g = _grants[id];
        if (!g.isEmpty()) revert IGrants.GrantExists(id, g.status());
        _requireRight(t.right);
        uint24 grantor =
            t.parent == 0 ? _requireAsset(t.asset).holderOf(t.right) : _grants[t.parent].grantee();
        address signer = _signedByEither(_digest(StructHash.flat(CANCEL, at, 2)), signature, grantor, STEWARD | CDO);
        _grants[id] = _pack(t, GRANT_CANCELLED);
        emit IGrants.Cancelled(id, t.asset, signer);
    }

    // ---- Views -----------------------------------------------------------------------------------------------

    /// @dev IGrants
    function grantOf(bytes32 id) external view returns (GrantView memory) {
        GrantWord g = _grants[id];
        return GrantView({
            state: g.state(),
            flags: g.status() >> 4,
            right: g.right(),
            grantee: g.grantee(),
            asset: g.asset(),
            notBefore: g.notBefore(),
            expiry: g.expiry(),
            maxUses: g.maxUses(),
            uses: g.uses(),
            depth: g.depth(),
            live: _isLiveAlone(g)
        });
    }

    /// @dev IGrants
    function isLive(bytes32 id, Terms[] calldata chain) external view returns (bool) {
        GrantWord g = _grants[id];
        if (!_isLiveAlone(g)) return false;
        if (g.status() & GRANT_FLAG_DELEGATED == 0) return true;
        for (uint256 i = 0; i < chain.length; ++i) {
            if (_idOf(chain[i]) != id || !_isLiveAlone(_grants[id])) return false;
            id = chain[i].parent;
        }
        return id == 0;
    }

    /// @dev IGrants
    function liveOf(bytes32[] calldata ids) external view returns (bool[] memory live) {
        live = new bool[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            live[i] = _isLiveAlone(_grants[ids[i]]);
        }
    }

    /// @dev IGrants
    function termsDigest(Terms calldata t) external view returns (bytes32 id, bytes32 digest) {
        id = _idOf(t);
        digest = _digest(id);
    }

    // ---- Rules -----------------------------------------------------------------------------------------------

    /// @dev The asset is alive and shared, the right is one of three.
    function _requireGrantable(Terms calldata t) private view returns (AssetWord word, uint8 class) {
        _requireRight(t.right);
        word = _assets[t.asset];
        class = _requireAlive(t.asset, word);
        if (word.sharing() == SHARING_NONE) revert IGrants.AssetNotShared(t.asset);
    }

    function _requireRight(uint8 right) private pure {
        if (right < RIGHT_HOLD || right > RIGHT_OPERATE) revert IAssets.RightInvalid(right);
    }

    /// @dev A child never exceeds its parent.
    function _requireNarrower(Terms calldata t, GrantWord parent) private pure {
        if (t.asset != parent.asset()) revert IGrants.WiderThanParent(1);
        if (t.right != parent.right()) revert IGrants.WiderThanParent(2);
        if (t.notBefore < parent.notBefore()) revert IGrants.WiderThanParent(3);
        if (t.expiry > parent.expiry()) revert IGrants.WiderThanParent(4);
        if (t.depth >= parent.depth()) revert IGrants.WiderThanParent(5);
    }

    /// @dev What the child may use the parent may no longer use: ten children of 100 cannot outspend a parent
    /// of 100.
    function _deduct(bytes32 id, Terms calldata t, GrantWord parent) private {
        if (parent.maxUses() == UNLIMITED) return;
        if (t.maxUses > parent.maxUses() - parent.uses()) revert IGrants.WiderThanParent(6);
        uint32 left = parent.maxUses() - t.maxUses;
        _grants[t.parent] = parent.withMaxUses(left);
        emit IGrants.Deducted(t.parent, id, left);
    }

    /// @dev The last step of every creation; signatures have been checked.
    function _open(bytes32 id, Terms calldata t, AssetWord word, uint8 flag, address steward) private {
        _requireInTime(t.deadline);
        if (t.expiry <= t.notBefore || t.expiry <= block.timestamp) revert IGrants.WindowInvalid(t.notBefore, t.expiry);
        if (t.maxUses == 0) revert IGrants.UsesInvalid(t.maxUses);
        if (t.grantee != 0) {
            _requireActive(t.grantee);
        } else if (t.maxUses != UNLIMITED || t.depth != 0 || word.sharing() != SHARING_UNCONDITIONAL) {
            revert IGrants.OfferInvalid(t.maxUses, t.depth, word.sharing());
        }
        GrantWord before = _grants[id];
        if (!before.isEmpty()) revert IGrants.GrantExists(id, before.status());
        _grants[id] = _pack(t, GRANT_ACTIVE | flag);
        emit IGrants.Granted(
            id,
            t.asset,
            t.grantee,
            t.right,
            t.notBefore,
            t.expiry,
            t.maxUses,
            t.depth,
            t.deadline,
            t.termsHash,
            t.parent,
            t.salt,
            steward
        );
    }

    function _pack(Terms calldata t, uint8 status) private pure returns (GrantWord) {
        return packGrant(status, t.right, t.grantee, t.asset, t.notBefore, t.expiry, t.maxUses, t.depth);
    }

    function _requireRevocable(bytes32 id) private view returns (GrantWord g) {
        g = _grants[id];
        if (g.state() != GRANT_ACTIVE) revert IGrants.GrantNotActive(id, g.status());
    }

    function _revoke(Revoke calldata m, GrantWord g, uint24 department, bytes calldata signature) private {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        address signer =
            _signedByEither(_digest(StructHash.flat(REVOKE, at, 3)), signature, department, STEWARD | CDO);
        _grants[m.grant] = g.withState(GRANT_REVOKED);
        emit IGrants.Revoked(m.grant, m.reason, signer);
    }

    function _isLiveAlone(GrantWord g) private view returns (bool) {
        if (g.state() != GRANT_ACTIVE || block.timestamp < g.notBefore() || block.timestamp >= g.expiry()) {
            return false;
        }
        (, bool alive) = _effective(g.asset(), _assets[g.asset()]);
        return alive;
    }
}
