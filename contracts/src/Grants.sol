// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GrantRules} from "./GrantRules.sol";
import {Cancel, GrantBatch, IGranted, IGrants, Revoke, RevokeBatch, Terms} from "./interfaces/IGrants.sol";
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
    RIGHT_OPERATE,
    SHARING_NONE,
    SHARING_UNCONDITIONAL,
    STEWARD,
    UNLIMITED
} from "./types/Codes.sol";
import {GrantWord} from "./types/GrantWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";

/// @title Grants: create, delegate, revoke, cancel (IGrants; break-glass is in Emergencies, the views in LedgerViews)
abstract contract Grants is GrantRules, IGranted {
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
        GrantWord g = _wordOf(t, GRANT_ACTIVE);
        (uint24 grantor, uint8 class) = _requireGrantable(g);
        address steward = _requireQuorum(id, signatures, grantor, class);
        _requireBothActive(grantor, g.grantee() == 0 ? grantor : g.grantee());
        _open(id, t, g, steward);
    }

    /// @dev IGrants
    function grantBatch(GrantBatch calldata m, bytes[] calldata signatures) external {
        _requireInTime(m.deadline);
        _requireRunning();
        Terms[] calldata grants = m.grants;
        if (grants.length == 0) revert IGrants.BatchEmpty();
        bytes32[] memory ids = new bytes32[](grants.length);
        GrantWord[] memory words = new GrantWord[](grants.length);
        uint24 grantor;
        uint8 class;
        for (uint256 i = 0; i < grants.length; ++i) {
            Terms calldata t = grants[i];
            ids[i] = _idOf(t);
            if (t.parent != 0) revert IGrants.ParentWrong(t.parent);
            GrantWord g = _wordOf(t, GRANT_ACTIVE);
            words[i] = g;
            (uint24 holder, uint8 grade) = _requireGrantable(g);
            if (grade > class) class = grade;
            if (i == 0) grantor = holder;
            if (holder != grantor) revert IAssets.NotRightHolder(g.asset(), g.right(), holder, grantor);
            _requireBothActive(grantor, g.grantee() == 0 ? grantor : g.grantee());
        }
        bytes32 structHash = keccak256(abi.encode(GRANT_BATCH, StructHash.list(ids), m.deadline));
        address steward = _requireQuorum(structHash, signatures, grantor, class);
        for (uint256 i = 0; i < grants.length; ++i) {
            _open(ids[i], grants[i], words[i], steward);
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
        GrantWord g = _wordOf(t, GRANT_ACTIVE | GRANT_FLAG_DELEGATED);
        _requireNarrower(g, parent);
        (, uint8 class) = _requireGrantable(g);
        address steward = _requireQuorum(id, signatures, parent.grantee(), class);
        _requireBothActive(parent.grantee(), g.grantee());
        _deduct(id, t.parent, g, parent);
        _open(id, t, g, steward);
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
        uint8 reason = m.reason;
        uint24 department = seat.department();
        uint256 last = type(uint256).max;
        for (uint256 i = 0; i < ids.length; ++i) {
            bytes32 id = ids[i];
            GrantWord g = _requireRevocable(id);
            // A batch is mostly of one asset: its holder is read once.
            uint256 place = uint256(g.asset()) << 8 | g.right();
            if (place != last) {
                uint24 holder = _assets[g.asset()].holderOf(g.right());
                if (holder != department) revert WrongDepartment(signer, department, holder);
                last = place;
            }
            _grants[id] = g.withState(GRANT_REVOKED);
            emit IGrants.Revoked(id, reason, signer);
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
        g = _wordOf(t, GRANT_CANCELLED);
        uint24 grantor =
            t.parent == 0 ? _requireAsset(t.asset).holderOf(g.right()) : _grants[t.parent].grantee();
        address signer = _signedByEither(_digest(StructHash.flat(CANCEL, at, 2)), signature, grantor, STEWARD | CDO);
        _grants[id] = g;
        emit IGrants.Cancelled(id, t.asset, signer);
    }

    // ---- Rules -----------------------------------------------------------------------------------------------

    /// @dev The asset is alive and shared; a standing offer is of unconditional data, unlimited, and final.
    function _requireGrantable(GrantWord g) private view returns (uint24 grantor, uint8 class) {
        AssetWord word = _assets[g.asset()];
        class = _requireAlive(g.asset(), word);
        uint8 sharing = word.sharing();
        if (sharing == SHARING_NONE) revert IGrants.AssetNotShared(g.asset());
        if (g.grantee() == 0 && (g.maxUses() != UNLIMITED || g.depth() != 0 || sharing != SHARING_UNCONDITIONAL)) {
            revert IGrants.OfferInvalid(g.maxUses(), g.depth(), sharing);
        }
        grantor = word.holderOf(g.right());
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
        _grants[parentId] = parent.withMaxUses(left);
        emit IGrants.Deducted(parentId, id, left);
    }

    /// @dev The last step of every creation; signatures, asset and parties have been checked.
    function _open(bytes32 id, Terms calldata t, GrantWord g, address steward) private {
        if (block.timestamp > t.deadline) revert DeadlinePassed(t.deadline, block.timestamp);
        if (g.expiry() <= g.notBefore() || block.timestamp >= g.expiry()) {
            revert IGrants.WindowInvalid(g.notBefore(), g.expiry());
        }
        if (g.maxUses() == 0) revert IGrants.UsesInvalid(0);
        GrantWord before = _grants[id];
        if (!before.isEmpty()) revert IGrants.GrantExists(id, before.status());
        _grants[id] = g;
        _emitGranted(id, t, g, steward);
    }

    /// @dev `emit Granted(id, t.asset, t.grantee, t.right, ..., t.salt, steward)`. The event's data are
    /// the Terms from `right` on, as they lie in calldata, and the officer; encoding them one by one costs
    /// 700 gas more.
    function _emitGranted(bytes32 id, Terms calldata t, GrantWord g, address steward) private {
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
    function _wordOf(Terms calldata t, uint8 status) private pure returns (GrantWord g) {
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
}
