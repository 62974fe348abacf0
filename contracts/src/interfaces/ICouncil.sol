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
    uint32 epoch;
    uint40 deadline;
    uint64 salt;
}

/// @notice From the second `freezeAt` no asset and no grant begins here; from `handOverAt` they begin in `successor`.
struct HandOver {
    address successor;
    uint40 freezeAt;
    uint40 handOverAt;
    uint32 epoch;
    uint40 deadline;
}

struct CallOffHandOver {
    bytes32 handOver;
    uint32 epoch;
    uint40 deadline;
}

/// @notice `grants`: the break-glass acts past due that are forgiven.
struct RestorePrivilege {
    uint24 department;
    bytes32[] grants;
    uint32 epoch;
    uint40 deadline;
    uint64 salt;
}

/// @title What a successor says before a council can hand over to it
interface ISuccessor {
    /// @notice The ledger that it reads.
    function predecessor() external view returns (address);
}

/// @title The council: m of n addresses that hold no other place
/// @notice It admits departments, gives the roles that watch others, overrides a veto and hands over to a successor.
/// It can neither grant nor read anything: an officer or service key that it alone gives to a department begins after the
/// admission delay, in which the department takes it away. Every message that it signs names its `epoch`.
interface ICouncil {
    /// @notice The council from now on, the first one too.
    event CouncilReplaced(
        uint32 indexed epoch, address[] members, uint8 threshold, address guardian, uint32 admissionDelay
    );
    /// @notice Until the end of the second `until`; no other begins before `pauseAllowedAt`.
    event Paused(address indexed by, uint40 until, uint40 pauseAllowedAt, bytes32 message);
    /// @notice The pause ended a second before this block.
    event Unpaused(bytes32 message);
    /// @notice Unless it is called off or the council is replaced before `handOverAt`.
    event HandOverAnnounced(
        address indexed successor, uint40 freezeAt, uint40 handOverAt, uint32 epoch, bytes32 message
    );
    /// @notice It is not to be; what was frozen begins here again. `handOver` is the struct hash of its message.
    event HandOverCalledOff(bytes32 handOver);
    /// @notice These acts past due are forgiven.
    event PrivilegeRestored(uint24 indexed department, bytes32[] grants, bytes32 message);

    error NotCouncil(address signer);
    /// @notice `have` signatures where `need` are needed.
    error CouncilQuorum(uint256 have, uint256 need);
    error CouncilInvalid(uint256 size, uint256 threshold);
    /// @notice The message names the council of epoch `got`; it is to be that of `need`.
    error EpochWrong(uint32 got, uint32 need);
    error NotGuardian(address signer);
    /// @notice What widens is stopped; revoke, suspend, anchor, use and recovery are not.
    error PausedUntil(uint40 until);
    error PauseTooLong(uint40 duration, uint40 most);
    /// @notice No pause begins before `allowedAt`.
    error PauseCooling(uint40 allowedAt);
    error NotPaused();
    /// @notice Assets and grants begin in the successor (`handOver`); what ends, lifts, records or seats goes on here.
    error FrozenSince(uint40 freezeAt);
    /// @notice One is announced, or done.
    error HandOverStands(bytes32 handOver, uint40 handOverAt);
    /// @notice The freeze is not before `soonest`, the hand-over an hour after it at least, and 90 days after `soonest`
    /// at most.
    error HandOverTimeInvalid(uint40 freezeAt, uint40 handOverAt, uint40 soonest);
    /// @notice No contract is there that names this ledger as its predecessor.
    error SuccessorForeign(address successor);
    error HandOverNotAnnounced(bytes32 handOver);
    /// @notice Two departments call a hand-over off; both signers are of this one.
    error WatchersOfOne(uint24 department);

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

    /// @notice Announces that assets and grants will begin in another contract. The freeze comes after the admission
    /// delay at the soonest, the hand-over after the freeze. What was granted here stays here and can always be ended
    /// here; departments, seats, keys and the council stay here for both.
    function announceHandOver(HandOver calldata m, bytes[] calldata council) external;

    /// @notice Before `handOverAt`: it is not to be.
    /// @param authority A quorum of the council, or two OVERSIGHT officers of two departments.
    function callOffHandOver(CallOffHandOver calldata m, bytes[] calldata authority) external;

    /// @notice Gives a department its break-glass privilege back.
    function restorePrivilege(RestorePrivilege calldata m, bytes[] calldata council) external;

    /// @notice The council as it stands.
    function council()
        external
        view
        returns (address[] memory members, uint8 threshold, address guardian, uint32 epoch, uint32 admissionDelay);

    /// @notice The hand-over that is announced or done, or zeros.
    function handOver()
        external
        view
        returns (address successor, bytes32 id, uint40 freezeAt, uint40 handOverAt);
}
