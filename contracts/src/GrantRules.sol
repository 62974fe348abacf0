// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssetRules} from "./AssetRules.sol";
import {IGrants, Terms} from "./interfaces/IGrants.sol";
import {StructHash} from "./lib/StructHash.sol";
import {GRANT_ACTIVE} from "./types/Codes.sol";
import {GrantWord} from "./types/GrantWord.sol";

/// @title When a grant is live, and under whom it hangs
abstract contract GrantRules is AssetRules {
    bytes32 private constant TERMS = keccak256(
        "Terms(uint64 asset,uint24 grantee,uint8 right,uint40 notBefore,uint40 expiry,uint32 maxUses,uint8 depth,uint40 deadline,bytes32 termsHash,bytes32 parent,uint64 salt)"
    );

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

    /// @dev The chain must be the terms of `id`, of its parent, ... up to the root, all live.
    /// @return first The word of `id`.
    function _requireChain(bytes32 id, Terms[] calldata chain) internal view returns (GrantWord first) {
        for (uint256 i = 0; i < chain.length; ++i) {
            bytes32 got = _idOf(chain[i]);
            if (got != id) revert IGrants.ChainWrong(id, got);
            GrantWord g = _grants[id];
            _requireLive(id, g);
            if (i == 0) first = g;
            id = chain[i].parent;
        }
        if (id != 0) revert IGrants.ChainWrong(id, 0);
    }
}
