// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ISigned} from "../interfaces/ISigned.sol";

/// @title An EIP-712 domain with a random deployment salt
/// @notice OpenZeppelin's EIP712 has no salt. Some national chains answer 0 to CHAINID, and installations
/// made from one genesis have equal addresses: the salt keeps their signatures apart. After a fork that
/// changes the chain id the domain follows the new one.
abstract contract SaltedDomain is ISigned {
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)");

    bytes32 private immutable _nameHash;
    bytes32 private immutable _versionHash;
    bytes32 private immutable _salt;
    uint256 private immutable _chainId;
    bytes32 private immutable _separator;

    /// @param home The contract that signatures name.
    constructor(string memory name, string memory version, bytes32 salt_, address home) {
        _nameHash = keccak256(bytes(name));
        _versionHash = keccak256(bytes(version));
        _salt = salt_;
        _chainId = block.chainid;
        _separator = _buildSeparator(keccak256(bytes(name)), keccak256(bytes(version)), salt_, home);
    }

    /// @notice The domain separator in force.
    function domainSeparator() public view returns (bytes32) {
        return block.chainid == _chainId ? _separator : _buildSeparator(_nameHash, _versionHash, _salt, address(this));
    }

    /// @notice The salt in the domain.
    function salt() public view virtual returns (bytes32) {
        return _salt;
    }

    function _digest(bytes32 structHash) internal view returns (bytes32 digest) {
        bytes32 separator = _separator;
        if (block.chainid != _chainId) separator = domainSeparator();
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, hex"1901")
            mstore(add(at, 2), separator)
            mstore(add(at, 34), structHash)
            digest := keccak256(at, 66)
        }
    }

    function _requireInTime(uint40 deadline) internal view {
        if (block.timestamp > deadline) revert DeadlinePassed(deadline, block.timestamp);
    }

    function _buildSeparator(bytes32 nameHash, bytes32 versionHash, bytes32 salt_, address home)
        private
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(DOMAIN_TYPEHASH, nameHash, versionHash, block.chainid, home, salt_));
    }
}
