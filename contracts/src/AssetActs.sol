// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssetRules} from "./AssetRules.sol";
import {
    DeriveAsset,
    IAssets,
    LiftAsset,
    NewVersion,
    Reclassify,
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
    BUREAU,
    CDO,
    GRANT_ACTIVE,
    LINEAGE_MAX,
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
    bytes32 private constant NEW_VERSION =
        keccak256("NewVersion(uint64 asset,uint32 version,bytes32 metadata,uint40 deadline)");
    bytes32 private constant RECLASSIFY =
        keccak256("Reclassify(uint64 asset,uint8 class,uint8 sharing,uint40 deadline,uint64 salt)");
    bytes32 private constant SUSPEND_ASSET =
        keccak256("SuspendAsset(uint64 asset,bytes32 reason,uint40 deadline,uint64 salt)");
    bytes32 private constant LIFT_ASSET =
        keccak256("LiftAsset(uint64 asset,bytes32 reason,uint40 deadline,uint64 salt)");
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
        uint24 department = uint24(m.asset >> 40);
        uint8 lineage;
        uint8 class;
        Lineage storage slot = _lineages[m.asset];
        for (uint256 i = 0; i < m.parents.length; ++i) {
            AssetWord parent = _requireAsset(m.parents[i]);
            uint8 grade = _requireAlive(m.parents[i], parent);
            if (grade > class) class = grade;
            if (parent.lineage() > lineage) lineage = parent.lineage();
            _requireMayProcess(m.parents[i], parent, m.under[i], department);
            slot.parents.push(m.parents[i]);
            slot.under.push(m.under[i]);
        }
        if (lineage >= LINEAGE_MAX) revert IAssets.LineageTooDeep(m.asset);
        if (m.class < class) revert IAssets.ClassBelowParents(m.class, class);
        _createAsset(m.asset, m.class, m.sharing, uint8(m.parents.length), lineage + 1, signer);
        emit IAssets.AssetRegistered(m.asset, m.class, m.sharing, m.metadata, signer);
        emit IAssets.AssetDerived(m.asset, m.parents, m.under);
    }

    /// @dev IAssets
    function newVersion(NewVersion calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        _requireRunning();
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
        _once(structHash);
        _requireGrades(m.class, m.sharing);
        AssetWord word = _requireAsset(m.asset);
        if (word.status() == ASSET_RETIRED) revert IAssets.AssetStateWrong(m.asset, ASSET_RETIRED);
        address signer;
        if (m.class >= word.class() && m.sharing >= word.sharing()) {
            _requireCount(signatures.length, 1);
            (signer,) = _signedByEitherOrBureau(_digest(structHash), signatures[0], word.holder(), STEWARD | CDO);
        } else {
            _requireRunning();
            (uint8 class,) = _effective(m.asset, word);
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
        bytes32 structHash = StructHash.flat(SUSPEND_ASSET, at, 4);
        _requireInTime(m.deadline);
        _once(structHash);
        AssetWord word = _requireAsset(m.asset);
        (address signer, bool bureau) =
            _signedByEitherOrBureau(_digest(structHash), signature, word.holder(), STEWARD | CDO);
        uint8 status = word.status();
        // The bureau may bar what the holder suspended: from then on the holder's lift no longer opens it.
        if (status != ASSET_ACTIVE && !(bureau && status == ASSET_SUSPENDED)) {
            revert IAssets.AssetStateWrong(m.asset, status);
        }
        status = bureau ? ASSET_BARRED : ASSET_SUSPENDED;
        _assets[m.asset] = word.withStatus(status);
        emit IAssets.AssetSuspended(m.asset, status, m.reason, signer, structHash);
    }

    /// @dev IAssets
    function liftAsset(LiftAsset calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(LIFT_ASSET, at, 4);
        _requireInTime(m.deadline);
        _requireRunning();
        _once(structHash);
        AssetWord word = _requireAsset(m.asset);
        address signer = SignatureCheck.recover(_digest(structHash), signature);
        if (word.status() == ASSET_SUSPENDED) {
            _requireSeatIn(signer, word.holder(), STEWARD);
            _requireActive(word.holder());
        } else if (word.status() == ASSET_BARRED) {
            _requireActive(_requireSeat(signer, BUREAU).department());
        } else {
            revert IAssets.AssetStateWrong(m.asset, word.status());
        }
        _assets[m.asset] = word.withStatus(ASSET_ACTIVE);
        emit IAssets.AssetLifted(m.asset, m.reason, signer, structHash);
    }

    /// @dev IAssets
    function retireAsset(RetireAsset calldata m, bytes[] calldata signatures) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        AssetWord word = _requireAsset(m.asset);
        if (word.status() == ASSET_RETIRED) revert IAssets.AssetStateWrong(m.asset, ASSET_RETIRED);
        (uint8 class,) = _effective(m.asset, word);
        address signer = _requireQuorum(StructHash.flat(RETIRE_ASSET, at, 2), signatures, word.holder(), class);
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
        _requireRunning();
        _once(structHash);
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

    /// @dev Its own processor may process it; another department needs a direct, live grant to do so. An emergency
    /// is none: the derived asset would outlive it.
    function _requireMayProcess(uint64 parent, AssetWord word, bytes32 under, uint24 department) private view {
        if (under == 0) {
            if (word.holderOf(RIGHT_USE) != department) revert IAssets.ParentNotGranted(parent, under);
            return;
        }
        GrantWord g = _grants[under].word;
        bool ours = g.grantee() == department || g.grantee() == 0;
        bool live = g.status() == GRANT_ACTIVE && g.isOpen(block.timestamp);
        if (!ours || !live || g.asset() != parent || g.right() < RIGHT_USE) {
            revert IAssets.ParentNotGranted(parent, under);
        }
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
