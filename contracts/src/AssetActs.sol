// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssetRules} from "./AssetRules.sol";
import {
    DeriveAsset,
    IAssets,
    LiftAsset,
    NewVersion,
    Reclassify,
    RenewParent,
    RetireAsset,
    SuspendAsset,
    TransferRight
} from "./interfaces/IAssets.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {AssetWord} from "./types/AssetWord.sol";
import {
    ASSET_ACTIVE,
    ASSET_BARRED,
    ASSET_RETIRED,
    ASSET_SUSPENDED,
    ASSET_SUSPENDED_AND_BARRED,
    BUREAU,
    BY_BUREAU,
    BY_HOLDER,
    CDO,
    CLASS_GENERAL,
    GRANT_ACTIVE,
    LINEAGE_MAX,
    MAY_SECOND,
    NODES_MAX,
    PARENTS_MAX,
    RIGHT_HOLD,
    RIGHT_OPERATE,
    RIGHT_USE,
    STEWARD
} from "./types/Codes.sol";
import {GrantWord} from "./types/GrantWord.sol";

/// @title The rarer acts on assets (IAssets)
abstract contract AssetActs is AssetRules {
    bytes32 private constant DERIVE_ASSET = keccak256(
        "DeriveAsset(uint64 asset,uint8 class,uint8 sharing,bytes32 metadata,uint64[] parents,bytes32[] under,uint40 deadline)"
    );
    bytes32 private constant RENEW_PARENT =
        keccak256("RenewParent(uint64 asset,uint64 parent,bytes32 under,uint40 deadline)");
    bytes32 private constant NEW_VERSION =
        keccak256("NewVersion(uint64 asset,uint32 version,bytes32 metadata,uint40 deadline)");
    bytes32 private constant RECLASSIFY =
        keccak256("Reclassify(uint64 asset,uint8 class,uint8 sharing,uint40 deadline,uint64 salt)");
    bytes32 private constant SUSPEND_ASSET =
        keccak256("SuspendAsset(uint64 asset,uint8 by,bytes32 reason,uint40 deadline,uint64 salt)");
    bytes32 private constant LIFT_ASSET =
        keccak256("LiftAsset(uint64 asset,uint8 by,bytes32 reason,uint40 deadline,uint64 salt)");
    bytes32 private constant RETIRE_ASSET = keccak256("RetireAsset(uint64 asset,uint40 deadline)");
    bytes32 private constant TRANSFER_RIGHT =
        keccak256("TransferRight(uint64 asset,uint8 right,uint24 from,uint24 to,uint40 deadline,uint64 salt)");

    /// @dev IAssets
    function deriveAsset(DeriveAsset calldata m, bytes calldata signature) external {
        _requireInTime(m.deadline);
        address signer = SignatureCheck.recover(_digest(_hashDerive(m)), signature);
        if (m.parents.length == 0 || m.parents.length > PARENTS_MAX || m.parents.length != m.under.length) {
            revert IAssets.ParentsInvalid(m.parents.length, m.under.length);
        }
        (uint8 lineage, uint8 nodes) = _descend(m);
        _createAsset(m.asset, m.class, m.sharing, uint8(m.parents.length), lineage, nodes, signer);
        emit IAssets.AssetRegistered(m.asset, m.class, m.sharing, m.metadata, signer);
        emit IAssets.AssetDerived(m.asset, m.parents, m.under);
    }

    /// @dev IAssets
    function renewParent(RenewParent calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(RENEW_PARENT, at, 4);
        _requireInTime(m.deadline);
        _requireOpen();
        _once(structHash);
        uint24 holder = _requireAsset(m.asset).holder();
        address signer = SignatureCheck.recover(_digest(structHash), signature);
        _requireSeatIn(signer, holder, STEWARD);
        _requireActive(holder);
        AssetWord parent = _requireAsset(m.parent);
        _requireAlive(m.parent, parent);
        _requireMayProcess(m.parent, parent, m.under, holder);
        Lineage storage lineage = _lineages[m.asset];
        for (uint256 i = 0; i < lineage.parents.length; ++i) {
            if (lineage.parents[i] == m.parent) {
                lineage.under[i] = m.under;
                emit IAssets.ParentRenewed(m.asset, m.parent, m.under, signer, structHash);
                return;
            }
        }
        revert IAssets.ParentsInvalid(lineage.parents.length, 0);
    }

    /// @dev IAssets
    function newVersion(NewVersion calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        _requireOpen();
        AssetWord word = _requireAsset(m.asset);
        if (word.status() != ASSET_ACTIVE) revert IAssets.AssetNotActive(m.asset, word.status());
        uint32 next = word.version() + 1;
        if (m.version != next) revert IAssets.VersionWrong(m.version, next);
        address signer =
            _signedByEither(_digest(StructHash.flat(NEW_VERSION, at, 4)), signature, word.holder(), STEWARD);
        _requireActive(word.holder());
        _assets[m.asset] = word.withVersion(next);
        emit IAssets.AssetVersioned(m.asset, next, m.metadata, signer);
    }

    /// @dev IAssets
    function reclassify(Reclassify calldata m, bytes[] calldata signatures) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(RECLASSIFY, at, 5);
        _requireInTime(m.deadline);
        _once(structHash, m.salt);
        _requireValidGrades(m.class, m.sharing);
        AssetWord word = _requireAsset(m.asset);
        if (word.status() == ASSET_RETIRED) revert IAssets.AssetStateWrong(m.asset, ASSET_RETIRED);
        address signer;
        if (m.class >= word.class() && m.sharing >= word.sharing()) {
            _requireCount(signatures.length, 1);
            (signer,) = _signedByEitherOrBureau(_digest(structHash), signatures[0], word.holder(), STEWARD | CDO);
        } else {
            _requireOpen();
            (uint8 class,,) = _effective(m.asset, word);
            signer = _requireQuorum(structHash, signatures, word.holder(), class);
            _requireActive(word.holder());
        }
        _assets[m.asset] = word.withGrades(m.class, m.sharing);
        emit IAssets.AssetReclassified(m.asset, m.class, m.sharing, signer, structHash);
    }

    /// @dev IAssets
    function suspendAsset(SuspendAsset calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(SUSPEND_ASSET, at, 5);
        _requireInTime(m.deadline);
        _once(structHash, m.salt);
        AssetWord word = _requireAsset(m.asset);
        address signer = _requireStopper(m.by, _digest(structHash), signature, word.holder(), STEWARD | CDO);
        uint8 status = word.status();
        if (status == ASSET_RETIRED || _isStoppedBy(status, m.by)) revert IAssets.AssetStateWrong(m.asset, status);
        if (status != ASSET_ACTIVE) status = ASSET_SUSPENDED_AND_BARRED;
        else status = m.by == BY_HOLDER ? ASSET_SUSPENDED : ASSET_BARRED;
        _assets[m.asset] = word.withStatus(status);
        emit IAssets.AssetSuspended(m.asset, status, m.reason, signer, structHash);
    }

    /// @dev IAssets
    function liftAsset(LiftAsset calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(LIFT_ASSET, at, 5);
        _requireInTime(m.deadline);
        _requireRunning();
        _once(structHash, m.salt);
        AssetWord word = _requireAsset(m.asset);
        address signer = _requireStopper(m.by, _digest(structHash), signature, word.holder(), STEWARD);
        if (m.by == BY_HOLDER) _requireActive(word.holder());
        uint8 status = word.status();
        if (!_isStoppedBy(status, m.by)) revert IAssets.AssetStateWrong(m.asset, status);
        if (status != ASSET_SUSPENDED_AND_BARRED) status = ASSET_ACTIVE;
        else status = m.by == BY_HOLDER ? ASSET_BARRED : ASSET_SUSPENDED;
        _assets[m.asset] = word.withStatus(status);
        emit IAssets.AssetLifted(m.asset, status, m.reason, signer, structHash);
    }

    /// @dev IAssets
    function retireAsset(RetireAsset calldata m, bytes[] calldata signatures) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        _requireRunning();
        AssetWord word = _requireAsset(m.asset);
        if (word.status() == ASSET_RETIRED) revert IAssets.AssetStateWrong(m.asset, ASSET_RETIRED);
        (uint8 class,,) = _effective(m.asset, word);
        bytes32 structHash = StructHash.flat(RETIRE_ASSET, at, 2);
        address signer;
        if (class == CLASS_GENERAL) {
            // There is no way back, and it stops what others derived: nobody does it alone.
            _requireCount(signatures.length, 2);
            bytes32 digest = _digest(structHash);
            signer = SignatureCheck.recoverAt(digest, signatures, 0);
            _requireSeatIn(signer, word.holder(), STEWARD);
            if (_signedByEither(digest, signatures[1], word.holder(), MAY_SECOND) == signer) {
                revert SignerRepeated(signer);
            }
        } else {
            signer = _requireQuorum(structHash, signatures, word.holder(), class);
        }
        _requireActive(word.holder());
        _assets[m.asset] = word.withStatus(ASSET_RETIRED);
        emit IAssets.AssetRetired(m.asset, signer);
    }

    /// @dev IAssets
    function transferRight(TransferRight calldata m, bytes[] calldata giver, bytes calldata taker) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(TRANSFER_RIGHT, at, 6);
        _requireInTime(m.deadline);
        _requireOpen();
        _once(structHash, m.salt);
        if (m.right < RIGHT_HOLD || m.right > RIGHT_OPERATE) revert IAssets.RightInvalid(m.right);
        AssetWord word = _requireAsset(m.asset);
        if (word.holderOf(m.right) != m.from || m.from == m.to) {
            revert IAssets.NotRightHolder(m.asset, m.right, word.holderOf(m.right), m.from);
        }
        uint8 class = _requireAlive(m.asset, word);
        _requireQuorum(structHash, giver, m.from, class);
        _requireSeatIn(SignatureCheck.recover(_digest(structHash), taker), m.to, STEWARD);
        _requireBothActive(m.from, m.to);
        _assets[m.asset] = word.withHolderOf(m.right, m.to);
        emit IAssets.RightTransferred(m.asset, m.right, m.from, m.to, structHash);
    }

    /// @dev The holder and the bureau stop an asset each for itself, and the message says who does: an officer
    /// may have both roles.
    function _requireStopper(uint8 by, bytes32 digest, bytes calldata signature, uint24 holder, uint16 either)
        private
        view
        returns (address signer)
    {
        if (by == BY_HOLDER) return _signedByEither(digest, signature, holder, either);
        if (by != BY_BUREAU) revert IAssets.StopperInvalid(by);
        signer = SignatureCheck.recover(digest, signature);
        _requireActive(_requireSeat(signer, BUREAU).department());
    }

    function _isStoppedBy(uint8 status, uint8 by) private pure returns (bool) {
        return status == ASSET_SUSPENDED_AND_BARRED || status == (by == BY_HOLDER ? ASSET_SUSPENDED : ASSET_BARRED);
    }

    /// @dev Checks and keeps the parents, which come in ascending order, each once.
    /// @return lineage Steps of derivation.
    /// @return nodes As the word has it.
    function _descend(DeriveAsset calldata m) private returns (uint8 lineage, uint8) {
        uint24 department = uint24(m.asset >> 40);
        uint8 class;
        uint8 sharing;
        uint256 nodes = 1;
        uint64 previous;
        Lineage storage slot = _lineages[m.asset];
        for (uint256 i = 0; i < m.parents.length; ++i) {
            uint64 id = m.parents[i];
            if (id <= previous) revert IAssets.ParentOrder(id, previous);
            previous = id;
            AssetWord parent = _requireAsset(id);
            (uint8 grade, uint8 narrowness) = _requireGrades(id, parent);
            if (grade > class) class = grade;
            if (narrowness > sharing) sharing = narrowness;
            if (parent.lineage() > lineage) lineage = parent.lineage();
            nodes += parent.nodes();
            _requireMayProcess(id, parent, m.under[i], department);
            slot.parents.push(id);
            slot.under.push(m.under[i]);
        }
        if (lineage >= LINEAGE_MAX) revert IAssets.LineageTooDeep(m.asset);
        if (nodes > NODES_MAX) revert IAssets.LineageTooLarge(m.asset, nodes);
        if (m.class < class) revert IAssets.ClassBelowParents(m.class, class);
        if (m.sharing < sharing) revert IAssets.SharingWiderThanParents(m.sharing, sharing);
        return (lineage + 1, uint8(nodes));
    }

    /// @dev Its own processor may process it. Another department needs a direct grant of its own that says so, is
    /// live and not spent. An emergency is none: the derived asset would outlive it.
    function _requireMayProcess(uint64 parent, AssetWord word, bytes32 under, uint24 department) private view {
        if (under == 0) {
            if (word.holderOf(RIGHT_USE) != department) revert IAssets.ParentNotGranted(parent, under);
            return;
        }
        GrantWord g = _grants[under].word;
        bool ours = g.grantee() == department || g.grantee() == 0;
        bool live = g.status() == GRANT_ACTIVE && g.isOpen(block.timestamp) && !g.isSpent();
        if (!ours || !live || !g.mayDerive() || g.asset() != parent || g.right() < RIGHT_USE) {
            revert IAssets.ParentNotGranted(parent, under);
        }
        _requireActive(word.holderOf(g.right()));
    }

    function _hashDerive(DeriveAsset calldata m) private pure returns (bytes32) {
        uint64[] calldata parents = m.parents;
        bytes32[] calldata under = m.under;
        uint256 parentsAt;
        uint256 underAt;
        assembly ("memory-safe") {
            parentsAt := parents.offset
            underAt := under.offset
        }
        return keccak256(
            abi.encode(
                DERIVE_ASSET,
                m.asset,
                m.class,
                m.sharing,
                m.metadata,
                StructHash.words(parentsAt, parents.length),
                StructHash.words(underAt, under.length),
                m.deadline
            )
        );
    }
}
