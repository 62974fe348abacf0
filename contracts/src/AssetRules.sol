// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Departments} from "./Departments.sol";
import {IAssets} from "./interfaces/IAssets.sol";
import {ISigned} from "./interfaces/ISigned.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {AssetWord, packAsset} from "./types/AssetWord.sol";
import {ASSET_ACTIVE, BUREAU, CDO, CLASS_CORE, CLASS_GENERAL, SHARING_NONE, STEWARD} from "./types/Codes.sol";

/// @title What assets demand of every act on them: grade, lineage, quorum
abstract contract AssetRules is Departments {
    /// @return word Of an asset that was registered.
    function _requireAsset(uint64 id) internal view returns (AssetWord word) {
        word = _assets[id];
        if (word.status() == 0) revert IAssets.AssetUnknown(id);
    }

    /// @return class Of an asset that is alive, the grade of its lineage counted.
    function _requireAlive(uint64 id, AssetWord word) internal view returns (uint8 class) {
        (class,) = _requireGrades(id, word);
    }

    /// @return class As `_requireAlive`.
    /// @return sharing Likewise: what it is derived from may narrow it.
    function _requireGrades(uint64 id, AssetWord word) internal view returns (uint8 class, uint8 sharing) {
        if (word.isPlain()) return (word.class(), word.sharing());
        bool alive;
        (class, sharing, alive) = _effective(id, word);
        if (!alive) {
            if (word.status() == 0) revert IAssets.AssetUnknown(id);
            revert IAssets.AssetNotActive(id, word.status());
        }
    }

    /// @dev The higher grade and the narrower sharing win. A stopped ancestor stops the asset, and so does the end of
    /// a grant under which it was derived. NODES_MAX assets are looked at, at most.
    function _effective(uint64 id, AssetWord word) internal view returns (uint8 class, uint8 sharing, bool alive) {
        class = word.class();
        sharing = word.sharing();
        alive = word.status() == ASSET_ACTIVE;
        if (word.parents() == 0) return (class, sharing, alive);
        Lineage storage lineage = _lineages[id];
        for (uint256 i = 0; i < lineage.parents.length; ++i) {
            uint64 parent = lineage.parents[i];
            (uint8 parentClass, uint8 parentSharing, bool parentAlive) = _effective(parent, _assets[parent]);
            if (parentClass > class) class = parentClass;
            if (parentSharing > sharing) sharing = parentSharing;
            bytes32 under = lineage.under[i];
            alive = alive && parentAlive && (under == 0 || _grants[under].word.isOpen(block.timestamp));
        }
    }

    /// @dev A fresh asset of the signer's department.
    function _createAsset(
        uint64 id,
        uint8 class,
        uint8 sharing,
        uint8 parents,
        uint8 lineage,
        uint8 nodes,
        address signer
    ) internal {
        _requireOpen();
        uint24 department = uint24(id >> 40);
        if (uint40(id) == 0) revert IAssets.AssetIdInvalid(id);
        _requireValidGrades(class, sharing);
        if (_assets[id].status() != 0) revert IAssets.AssetExists(id);
        _requireSeatIn(signer, department, STEWARD);
        _requireActive(department);
        _assets[id] =
            packAsset(department, class, sharing, uint40(block.timestamp), ASSET_ACTIVE, parents, lineage, nodes);
    }

    function _requireValidGrades(uint8 class, uint8 sharing) internal pure {
        if (class < CLASS_GENERAL || class > CLASS_CORE) revert IAssets.ClassInvalid(class);
        if (sharing == 0 || sharing > SHARING_NONE) revert IAssets.SharingInvalid(sharing);
    }

    /// @dev The quorum of a class over one message: a STEWARD of the department; for important data its CDO
    /// too; for core data a BUREAU of another department as well. In that order, by distinct officers, neither more
    /// nor fewer. That the department is active the caller asks.
    /// @return steward The first signer.
    function _requireQuorum(bytes32 structHash, bytes[] calldata signatures, uint24 department, uint8 class)
        internal
        returns (address steward)
    {
        _requireCount(signatures.length, class);
        bytes32 digest = _digest(structHash);
        steward = SignatureCheck.recoverAt(digest, signatures, 0);
        _requireSeatIn(steward, department, STEWARD);
        if (class == CLASS_GENERAL) return steward;

        address cdo = SignatureCheck.recoverAt(digest, signatures, 1);
        if (cdo == steward) revert SignerRepeated(cdo);
        _requireSeatIn(cdo, department, CDO);
        emit IAssets.CoSigned(structHash, cdo, CDO);
        if (class != CLASS_CORE) return steward;

        (address bureau, uint24 other) = _signedByBureau(digest, signatures, 2);
        if (other == department) revert IAssets.BureauNotIndependent(other);
        emit IAssets.CoSigned(structHash, bureau, BUREAU);
    }
}
