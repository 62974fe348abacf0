// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Terms} from "./IGrants.sol";

/// @notice `total` counts every use of the grant since it began; `logHead` is the root of the audit log that
/// holds them.
struct Use {
    bytes32 grant;
    uint32 total;
    bytes32 logHead;
    uint40 deadline;
}

struct Usage {
    bytes32 grant;
    uint32 total;
}

struct UseBatch {
    Usage[] uses;
    bytes32 logHead;
    uint40 deadline;
}

/// @title Use, as a cumulative signed total
/// @notice Signed by an ATTEST key of the department that holds the right, or by the city's GATEWAY. Replay
/// and reordering are harmless: a total only grows.
interface IUsage {
    /// @notice So many uses since the grant began, by the log with this head.
    event Used(bytes32 indexed grant, uint32 total, bytes32 logHead);

    /// @notice A total at or below the one that stands: an older message, or the same again.
    error TotalNotHigher(bytes32 grant, uint32 total, uint32 uses);
    /// @notice More than is left to the grant.
    error UsesExhausted(bytes32 grant, uint32 total, uint32 maxUses);
    /// @notice A delegated grant needs the terms of its ancestors.
    error ChainNeeded(bytes32 grant);
    /// @notice The attest key's department neither holds the right nor is it the gateway.
    error NotAttestor(address key, uint24 department);

    /// @notice Records the total of a direct grant.
    function use(Use calldata m, bytes calldata signature) external;

    /// @notice Records the total of a delegated grant, whose ancestors must be alive.
    /// @param chain The Terms of the grant, its parent, ... up to the root.
    function useDelegated(Use calldata m, Terms[] calldata chain, bytes calldata signature) external;

    /// @notice Direct grants only.
    function useBatch(UseBatch calldata m, bytes calldata signature) external;
}
