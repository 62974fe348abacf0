// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title What every contract says about a signature it refuses
/// @notice Every authority is an EIP-712 signature, 65 bytes r || s || v. A signature for another chain,
/// contract or deployment salt recovers to a stranger's address and is refused as such (`NotInOffice`,
/// `NotCouncil`).
interface ISigned {
    /// @notice A signature has `got` bytes where `need` are needed.
    error SignatureLength(uint256 got, uint256 need);
    /// @notice `got` signatures where `need` are needed.
    error SignatureCount(uint256 got, uint256 need);
    /// @notice s is in the upper half of the order (malleable).
    error SignatureHighS();
    /// @notice It recovers to no address.
    error SignatureInvalid();
    /// @notice The message died at `deadline`; the block is at `time`.
    error DeadlinePassed(uint40 deadline, uint256 time);
    /// @notice This message has changed the state already.
    error AlreadyDone(bytes32 structHash);
}
