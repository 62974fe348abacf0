// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssetRules} from "./AssetRules.sol";
import {IAssets, RegisterAsset} from "./interfaces/IAssets.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";

/// @title Assets: registration (IAssets; the rarer acts are in AssetActs, the views in LedgerViews)
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
        _createAsset(m.asset, m.class, m.sharing, 0, 0, 0, signer);
        emit IAssets.AssetRegistered(m.asset, m.class, m.sharing, m.metadata, signer);
    }
}
