// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Merkle tree hashing of transparency logs
/// @notice Consistency between two heads of one append-only log: RFC 6962 section 2.1.2, verified as in
///         RFC 9162 section 2.1.4.2. SHA-256 by the precompile at address 2.
library Rfc6962 {
    /// @notice SHA-256 of nothing: the root of a log without entries (RFC 9162 section 2.1.1).
    bytes32 internal constant EMPTY_ROOT = 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;

    /// @notice Whether the tree of `newSize` entries with root `newRoot` begins with the tree of `oldSize`
    ///         entries with root `oldRoot`.
    /// @dev An empty tree begins every tree, with an empty proof. Equal sizes hold only for equal roots with an
    ///      empty proof. A proof is refused when it is too short, too long, or has any other bit wrong.
    /// @param proof at most 2 * 64 hashes, in the order of RFC 6962
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

        uint256 fn = oldSize - 1;
        uint256 sn = newSize - 1;
        while (fn & 1 == 1) {
            fn >>= 1;
            sn >>= 1;
        }
        // When the old size is a power of two, the old root itself is the first node and is left out of the proof.
        uint256 next = 0;
        bytes32 fr = oldRoot;
        if (fn != 0) {
            if (proof.length == 0) return false;
            fr = proof[0];
            next = 1;
        }
        bytes32 sr = fr;

        for (; next < proof.length; ++next) {
            if (sn == 0) return false;
            bytes32 sibling = proof[next];
            if (fn & 1 == 1 || fn == sn) {
                fr = node(sibling, fr);
                sr = node(sibling, sr);
                while (fn & 1 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                sr = node(sr, sibling);
            }
            fn >>= 1;
            sn >>= 1;
        }
        return sn == 0 && fr == oldRoot && sr == newRoot;
    }

    /// @notice SHA-256(0x01 || left || right), the hash of an inner node.
    function node(bytes32 left, bytes32 right) internal view returns (bytes32 digest) {
        assembly ("memory-safe") {
            // The 65 bytes lie beyond the free pointer, which need not move: nothing else is kept there.
            let at := mload(0x40)
            mstore8(at, 1)
            mstore(add(at, 1), left)
            mstore(add(at, 33), right)
            // A chain without the precompile answers success with nothing: that is a failure too.
            if iszero(and(eq(returndatasize(), 32), staticcall(gas(), 2, at, 65, 0, 32))) { revert(0, 0) }
            digest := mload(0)
        }
    }
}
