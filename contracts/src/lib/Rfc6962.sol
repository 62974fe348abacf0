// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Merkle tree hashing of transparency logs
/// @notice Consistency between two heads of one append-only log: the trees and proofs of RFC 6962 section 2.1
/// (RFC 9162 section 2.1.4). SHA-256 by the precompile at address 2.
library Rfc6962 {
    /// SHA-256 of nothing: the root of a log without entries (RFC 9162 section 2.1.1).
    bytes32 internal constant EMPTY_ROOT = 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;

    /// @notice Whether the tree of `newSize` entries with root `newRoot` begins with the tree of `oldSize`
    /// entries with root `oldRoot`.
    /// @dev An empty tree begins every tree, with an empty proof. Equal sizes hold only for equal roots with an
    /// empty proof. A proof that is too short, too long, or wrong in any bit is refused.
    ///
    /// The proof climbs from the largest full subtree that ends the old tree. Up to the level where the paths to
    /// the last entry of either tree meet (`inner`), a set bit of the old path has its sibling on the left, in both
    /// trees, and a clear one on the right, in the new tree only; above it, siblings are all on the left.
    function isConsistent(
        uint64 oldSize,
        bytes32 oldRoot,
        uint64 newSize,
        bytes32 newRoot,
        bytes32[] calldata proof
    ) internal view returns (bool) {
        if (oldSize > newSize) return false;
        if (oldSize == newSize) return proof.length == 0 && oldRoot == newRoot;
        if (oldSize == 0) return proof.length == 0 && oldRoot == EMPTY_ROOT;

        unchecked {
            uint256 subtree = oldSize & (~oldSize + 1);
            uint256 path = (oldSize - 1) / subtree;
            uint256 inner = Math.log2((path ^ ((newSize - 1) / subtree))) + 1;
            // When the old size is a power of two, the old root is that subtree and is left out of the proof.
            if (oldSize == subtree) return _climb(path, inner, oldRoot, oldRoot, newRoot, proof);
            return proof.length != 0 && _climb(path, inner, proof[0], oldRoot, newRoot, proof[1:]);
        }
    }

    /// @return reached Whether the siblings lead from `start` to both roots, none missing and none left.
    function _climb(
        uint256 path,
        uint256 inner,
        bytes32 start,
        bytes32 oldRoot,
        bytes32 newRoot,
        bytes32[] calldata siblings
    ) private view returns (bool reached) {
        assembly ("memory-safe") {
            // Two buffers of 65 bytes, 0x01 || left || right, one for either tree, beyond the free pointer, which
            // need not move since nothing is kept there. The hash of a node that is a right child next is written
            // where it is wanted next.
            let old := mload(0x40)
            let new_ := add(old, 96)
            mstore8(old, 1)
            mstore8(new_, 1)
            mstore(add(old, 33), start)
            mstore(0, start)
            let sound := 1
            let next := siblings.offset
            let end := add(next, shl(5, siblings.length))
            let meet := add(next, shl(5, inner))
            let above := shr(inner, path)
            if gt(meet, end) { sound := 0 }
            for { let last := mul(sound, meet) } lt(next, last) { next := add(next, 32) } {
                switch and(path, 1)
                case 0 {
                    mstore(add(new_, 1), mload(0))
                    calldatacopy(add(new_, 33), next, 32)
                }
                default {
                    calldatacopy(add(old, 1), next, 32)
                    sound := and(sound, staticcall(gas(), 2, old, 65, add(old, 33), 32))
                    calldatacopy(add(new_, 1), next, 32)
                    mstore(add(new_, 33), mload(0))
                }
                sound := and(sound, staticcall(gas(), 2, new_, 65, 0, 32))
                path := shr(1, path)
            }
            mstore(add(new_, 33), mload(0))
            for {} and(lt(next, end), gt(above, 0)) { next := add(next, 32) } {
                calldatacopy(add(old, 1), next, 32)
                calldatacopy(add(new_, 1), next, 32)
                sound := and(sound, staticcall(gas(), 2, old, 65, add(old, 33), 32))
                sound := and(sound, staticcall(gas(), 2, new_, 65, add(new_, 33), 32))
                // One sibling for every set bit above.
                above := and(above, sub(above, 1))
            }
            // A chain without the precompile succeeds with no answer: that is a failure too.
            sound := and(sound, eq(returndatasize(), 32))
            // All siblings used, none missing, and both roots met.
            reached :=
                and(
                    and(sound, and(eq(next, end), iszero(above))),
                    and(eq(mload(add(old, 33)), oldRoot), eq(mload(add(new_, 33)), newRoot))
                )
        }
    }
}
