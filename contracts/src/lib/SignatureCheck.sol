// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ISigned} from "../interfaces/ISigned.sol";

/// @title secp256k1 signatures, by the precompile
/// @notice 65 bytes r || s || v, v 27 or 28, s in the lower half of the order: one encoding per signature.
library SignatureCheck {
    /// secp256k1's order halved (SEC 2, section 2.4.1).
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// @return signer Never zero.
    function recover(bytes32 digest, bytes calldata signature) internal pure returns (address signer) {
        if (signature.length != 65) revert ISigned.SignatureLength(signature.length, 65);
        bytes32 r;
        bytes32 s;
        uint8 v;
        assembly ("memory-safe") {
            r := calldataload(signature.offset)
            s := calldataload(add(signature.offset, 32))
            v := byte(0, calldataload(add(signature.offset, 64)))
        }
        if (uint256(s) > HALF_ORDER) revert ISigned.SignatureHighS();
        signer = ecrecover(digest, v, r, s);
        if (signer == address(0)) revert ISigned.SignatureInvalid();
    }

    /// @param index Below the number of signatures, which the caller has compared.
    /// @return signer Of that signature; never zero.
    function recoverAt(bytes32 digest, bytes[] calldata signatures, uint256 index)
        internal
        pure
        returns (address signer)
    {
        bytes calldata signature;
        // An offset or length that points elsewhere finds other calldata or zeros there, and no signer.
        assembly ("memory-safe") {
            let at := add(signatures.offset, calldataload(add(signatures.offset, shl(5, index))))
            signature.offset := add(at, 32)
            signature.length := calldataload(at)
        }
        return recover(digest, signature);
    }
}
