// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

struct ReplaceCouncil {
    address[] members;
    uint8 threshold;
    address guardian;
    uint32 epoch;
    uint40 deadline;
}

struct Pause {
    uint40 duration;
    uint40 deadline;
    uint64 salt;
}

struct Unpause {
    uint40 deadline;
    uint64 salt;
}

struct Supersede {
    address successor;
    bytes32 snapshotRoot;
    uint40 deadline;
}

struct RestorePrivilege {
    uint24 department;
    uint40 deadline;
    uint64 salt;
}

/// @title The council: m of n addresses that hold no other place
/// @notice It admits departments, gives the roles that watch others, overrides a veto and names a successor.
/// It can neither grant nor read anything.
interface ICouncil {
    /// @notice The council from now on, the first one too.
    event CouncilReplaced(
        uint32 indexed epoch, address[] members, uint8 threshold, address guardian, uint32 admissionDelay
    );
    /// @notice Until the end of the second `until`; no other begins before `pauseAllowedAt`.
    event Paused(address indexed by, uint40 until, uint40 pauseAllowedAt, bytes32 message);
    /// @notice The pause ended a second before this block.
    event Unpaused(bytes32 message);
    /// @notice The successor goes on from `snapshotRoot`; nothing widens here any more.
    event Superseded(address indexed successor, bytes32 snapshotRoot);
    /// @notice Acts past due are forgiven; those that still wait, wait on.
    event PrivilegeRestored(uint24 indexed department, bytes32 message);

    error NotCouncil(address signer);
    /// @notice `have` signatures where `need` are needed.
    error CouncilQuorum(uint256 have, uint256 need);
    error CouncilInvalid(uint256 size, uint256 threshold);
    /// @notice The message names epoch `got`; the next is `need`.
    error EpochWrong(uint32 got, uint32 need);
    error NotGuardian(address signer);
    /// @notice What widens is stopped; revoke, suspend, anchor, use and recovery are not.
    error PausedUntil(uint40 until);
    error PauseTooLong(uint40 duration, uint40 most);
    /// @notice No pause begins before `allowedAt`.
    error PauseCooling(uint40 allowedAt);
    error NotPaused();

    /// @notice Another council takes over at once; what the old one signed dies with it.
    /// @param council A quorum of the present council.
    /// @param incoming A quorum of the new one: it proves that it can act.
    function replaceCouncil(ReplaceCouncil calldata m, bytes[] calldata council, bytes[] calldata incoming) external;

    /// @notice Stops what widens, for a time.
    /// @param signature The guardian's. At most 72 hours; then none for 7 days.
    function pause(Pause calldata m, bytes calldata signature) external;

    /// @notice Ends a pause early.
    /// @param authority The guardian's signature or a quorum of the council. The cooldown stays.
    function unpause(Unpause calldata m, bytes[] calldata authority) external;

    /// @notice Once and for ever: nothing widens here any more, the successor starts from `snapshotRoot`.
    function supersede(Supersede calldata m, bytes[] calldata council) external;

    /// @notice Gives a department its break-glass privilege back.
    function restorePrivilege(RestorePrivilege calldata m, bytes[] calldata council) external;

    /// @notice The council as it stands.
    function council()
        external
        view
        returns (address[] memory members, uint8 threshold, address guardian, uint32 epoch, uint32 admissionDelay);

    /// @notice The successor, or zero.
    function supersededBy() external view returns (address successor, bytes32 snapshotRoot);
}
