// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssetRules} from "./AssetRules.sol";
import {AssetView, IAssets, RegisterAsset} from "./interfaces/IAssets.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {AssetWord} from "./types/AssetWord.sol";
import {BUREAU, CDO, CLASS_CORE, CLASS_IMPORTANT, RIGHT_OPERATE, RIGHT_USE, STEWARD} from "./types/Codes.sol";

/// @title Assets: registration and views (IAssets; the rarer acts are in AssetActs)
abstract contract Assets is AssetRules {
    bytes32 private constant REGISTER_ASSET =
        keccak256("RegisterAsset(uint64 asset,uint8 class,uint8 sharing,bytes32 metadata,uint40 deadline)");

    /// @dev IAssets
    function registerAsset(RegisterAsset calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        address signer = SignatureCheck.recover(_digest(StructHash.flat(REGISTER_ASSET, at, 5)), signature);
        _createAsset(m.asset, m.class, m.sharing, 0, 0, signer);
        emit IAssets.AssetRegistered(m.asset, m.class, m.sharing, m.metadata, signer);
    }

    /// @dev IAssets
    function asset(uint64 id) external view returns (AssetView memory) {
        AssetWord word = _assets[id];
        (uint8 class, bool alive) = _effective(id, word);
        return AssetView({
            holder: word.holder(),
            processor: word.holderOf(RIGHT_USE),
            operator: word.holderOf(RIGHT_OPERATE),
            class: class,
            ownClass: word.class(),
            sharing: word.sharing(),
            quorum: class == 0
                ? 0
                : STEWARD | (class >= CLASS_IMPORTANT ? CDO : 0) | (class == CLASS_CORE ? BUREAU : 0),
            since: word.since(),
            version: word.version(),
            status: word.status(),
            parents: word.parents(),
            lineage: word.lineage(),
            alive: alive
        });
    }

    /// @dev IAssets
    function parentsOf(uint64 id) external view returns (uint64[] memory parents, bytes32[] memory under) {
        return (_lineages[id].parents, _lineages[id].under);
    }
}
