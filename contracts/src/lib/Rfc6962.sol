// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Merkle tree hashing of transparency logs
/// @notice Consistency between two heads of one append-only log: RFC 6962 section 2.1.2, verified as in
/// RFC 9162 section 2.1.4.2. SHA-256 by the precompile at address 2.
library Rfc6962 {
    /// SHA-256 of nothing: the root of a log without entries (RFC 9162 section 2.1.1).
    bytes32 internal constant EMPTY_ROOT = 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;

    /// @notice Whether the tree of `newSize` entries with root `newRoot` begins with the tree of `oldSize`
    /// entries with root `oldRoot`.
    /// @dev An empty tree begins every tree, with an empty proof. Equal sizes hold only for equal roots with an
    /// empty proof. A proof that is too short, too long, or wrong in any bit is refused.
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

        uint256 oldNode = oldSize - 1;
        uint256 newNode = newSize - 1;
        while (oldNode & 1 == 1) {
            oldNode >>= 1;
            newNode >>= 1;
        }
        // When the old size is a power of two, the old root is itself the first node and is left out of the proof.
        if (oldNode == 0) return _climb(0, newNode, oldRoot, oldRoot, newRoot, proof);
        return proof.length != 0 && _climb(oldNode, newNode, proof[0], oldRoot, newRoot, proof[1:]);
    }

    /// @dev From the node `start`, numbered `oldNode` and `newNode` in its level of either tree, climb to both
    /// roots: a sibling on the left belongs to both trees, one on the right to the new tree only. The variables
    /// are fn, sn, fr and sr of the RFC.
    function _climb(
        uint256 fn,
        uint256 sn,
        bytes32 start,
        bytes32 oldRoot,
        bytes32 newRoot,
        bytes32[] calldata siblings
    ) private view returns (bool reached) {
        assembly ("memory-safe") {
            // Two buffers of 65 bytes, 0x01 || left || right, one for either tree, beyond the free pointer, which
            // need not move since nothing is kept there. A node of the old tree is only ever a right child, so its
            // hash goes where it is wanted next.
            let old := mload(0x40)
            let new_ := add(old, 96)
            mstore8(old, 1)
            mstore8(new_, 1)
            mstore(add(old, 33), start)
            let sr := start
            let sound := 1
            let next := siblings.offset
            let end := add(next, shl(5, siblings.length))
            for {} and(lt(next, end), gt(sn, 0)) { next := add(next, 32) } {
                switch or(and(fn, 1), eq(fn, sn))
                case 0 {
                    mstore(add(new_, 1), sr)
                    calldatacopy(add(new_, 33), next, 32)
                }
                default {
                    calldatacopy(add(old, 1), next, 32)
                    sound := and(sound, staticcall(gas(), 2, old, 65, add(old, 33), 32))
                    calldatacopy(add(new_, 1), next, 32)
                    mstore(add(new_, 33), sr)
                    for {} and(gt(fn, 0), iszero(and(fn, 1))) {} {
                        fn := shr(1, fn)
                        sn := shr(1, sn)
                    }
                }
                sound := and(sound, staticcall(gas(), 2, new_, 65, 0, 32))
                sr := mload(0)
                fn := shr(1, fn)
                sn := shr(1, sn)
            }
            // A chain without the precompile succeeds with no answer: that is a failure too.
            sound := and(sound, or(iszero(siblings.length), eq(returndatasize(), 32)))
            // All siblings used, the top reached, and both roots met.
            reached := and(sound, and(and(eq(next, end), iszero(sn)), and(eq(mload(add(old, 33)), oldRoot), eq(sr, newRoot))))
        }
    }
}
