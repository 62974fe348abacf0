// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {CallOffHandOver, HandOver, ICouncil, ISuccessor, Pause, ReplaceCouncil, Unpause} from "./interfaces/ICouncil.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {FREEZE_MIN, HAND_OVER_MAX, OVERSIGHT, PAUSE_COOLDOWN, PAUSE_MAX} from "./types/Codes.sol";
import {CouncilWord} from "./types/CouncilWord.sol";
import {CouncilSeats} from "./CouncilSeats.sol";
import {GuardWord} from "./types/GuardWord.sol";

/// @title The council's own acts: its replacement, the pause, the successor (ICouncil)
abstract contract Council is CouncilSeats {
    bytes32 private constant REPLACE_COUNCIL = keccak256(
        "ReplaceCouncil(address[] members,uint8 threshold,address guardian,uint32 epoch,uint40 deadline)"
    );
    bytes32 private constant PAUSE = keccak256("Pause(uint40 duration,uint40 deadline,uint64 salt)");
    bytes32 private constant UNPAUSE = keccak256("Unpause(uint32 epoch,uint40 deadline,uint64 salt)");
    bytes32 private constant HAND_OVER =
        keccak256("HandOver(address successor,uint40 freezeAt,uint40 handOverAt,uint32 epoch,uint40 deadline)");
    bytes32 private constant CALL_OFF_HAND_OVER =
        keccak256("CallOffHandOver(bytes32 handOver,uint32 epoch,uint40 deadline)");

    /// @dev ICouncil
    function replaceCouncil(ReplaceCouncil calldata m, bytes[] calldata signatures, bytes[] calldata incoming)
        external
    {
        _requireInTime(m.deadline);
        CouncilWord word = _council;
        uint32 next = word.epoch() + 1;
        if (m.epoch != next) revert ICouncil.EpochWrong(m.epoch, next);
        address[] calldata members = m.members;
        uint256 at;
        assembly ("memory-safe") {
            at := members.offset
        }
        bytes32 digest = _digest(
            keccak256(
                abi.encode(
                    REPLACE_COUNCIL, StructHash.words(at, members.length), m.threshold, m.guardian, m.epoch, m.deadline
                )
            )
        );
        _checkMembers(digest, signatures);
        _seatCouncil(members, m.threshold, m.guardian, next, word.admissionDelay());
        _checkMembers(digest, incoming);
        // What a council began ends with it.
        GuardWord guard = _guard;
        if (guard.handOverAt() != 0 && !guard.isHandedOver(block.timestamp)) _callOff(guard);
    }

    /// @dev ICouncil
    function pause(Pause calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(PAUSE, at, 3);
        _requireInTime(m.deadline);
        _once(structHash, m.salt);
        address signer = SignatureCheck.recover(_digest(structHash), signature);
        if (signer != _council.guardian()) revert ICouncil.NotGuardian(signer);
        if (m.duration == 0 || m.duration > PAUSE_MAX) revert ICouncil.PauseTooLong(m.duration, PAUSE_MAX);
        GuardWord guard = _guard;
        if (block.timestamp < guard.pauseAllowedAt()) revert ICouncil.PauseCooling(guard.pauseAllowedAt());
        uint40 until = uint40(block.timestamp) + m.duration;
        _guard = guard.withPause(until, until + PAUSE_COOLDOWN);
        emit ICouncil.Paused(signer, until, until + PAUSE_COOLDOWN, structHash);
    }

    /// @dev ICouncil
    function unpause(Unpause calldata m, bytes[] calldata authority) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(UNPAUSE, at, 3);
        _requireClean(m.epoch);
        _requireInTime(m.deadline);
        _once(structHash, m.salt);
        bytes32 digest = _digest(structHash);
        if (authority.length != 1 || SignatureCheck.recoverAt(digest, authority, 0) != _council.guardian()) {
            _checkCouncil(digest, m.epoch, authority);
        }
        GuardWord guard = _guard;
        if (block.timestamp > guard.pausedUntil()) revert ICouncil.NotPaused();
        _guard = guard.withPause(uint40(block.timestamp) - 1, guard.pauseAllowedAt());
        emit ICouncil.Unpaused(structHash);
    }

    /// @dev ICouncil
    function announceHandOver(HandOver calldata m, bytes[] calldata signatures) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(HAND_OVER, at, 5);
        _requireInTime(m.deadline);
        _once(structHash);
        _checkCouncil(_digest(structHash), m.epoch, signatures);
        GuardWord guard = _guard;
        if (guard.handOverAt() != 0) revert ICouncil.HandOverStands(_handOver, guard.handOverAt());
        uint256 soonest = block.timestamp + _council.admissionDelay();
        if (
            m.freezeAt < soonest || m.handOverAt < uint256(m.freezeAt) + FREEZE_MIN
                || m.handOverAt > soonest + HAND_OVER_MAX
        ) revert ICouncil.HandOverTimeInvalid(m.freezeAt, m.handOverAt, uint40(soonest));
        if (m.successor.code.length == 0 || ISuccessor(m.successor).predecessor() != address(this)) {
            revert ICouncil.SuccessorForeign(m.successor);
        }
        _guard = guard.withHandOver(m.freezeAt, m.handOverAt);
        _successor = m.successor;
        _handOver = structHash;
        emit ICouncil.HandOverAnnounced(m.successor, m.freezeAt, m.handOverAt, m.epoch, structHash);
    }

    /// @dev ICouncil
    function callOffHandOver(CallOffHandOver calldata m, bytes[] calldata authority) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        GuardWord guard = _guard;
        if (guard.handOverAt() == 0 || _handOver != m.handOver) revert ICouncil.HandOverNotAnnounced(m.handOver);
        if (guard.isHandedOver(block.timestamp)) revert ICouncil.HandOverStands(m.handOver, guard.handOverAt());
        _requireWatchers(_digest(StructHash.flat(CALL_OFF_HAND_OVER, at, 3)), m.epoch, authority);
        _callOff(guard);
    }

    /// @dev ICouncil
    function council()
        external
        view
        returns (address[] memory members, uint8 threshold, address guardian, uint32 epoch, uint32 admissionDelay)
    {
        CouncilWord word = _council;
        return (_members, word.threshold(), word.guardian(), word.epoch(), word.admissionDelay());
    }

    /// @dev ICouncil
    function handOver()
        external
        view
        returns (address successor, bytes32 id, uint40 freezeAt, uint40 handOverAt)
    {
        GuardWord guard = _guard;
        if (guard.handOverAt() == 0) return (address(0), 0, 0, 0);
        return (_successor, _handOver, guard.freezeAt(), guard.handOverAt());
    }

    function _callOff(GuardWord guard) private {
        _guard = guard.withHandOver(0, 0);
        emit ICouncil.HandOverCalledOff(_handOver);
    }

    /// @dev A quorum of the council, or two OVERSIGHT officers of two active departments: no key alone stops the city's
    /// step, and a council alone does not take it.
    function _requireWatchers(bytes32 digest, uint32 epoch, bytes[] calldata authority) private view {
        if (authority.length == 2) {
            address one = SignatureCheck.recoverAt(digest, authority, 0);
            if (_memberPlace[one] == 0) {
                address other = SignatureCheck.recoverAt(digest, authority, 1);
                uint24 first = _requireSeat(one, OVERSIGHT).department();
                uint24 second = _requireSeat(other, OVERSIGHT).department();
                if (first == second) revert ICouncil.WatchersOfOne(first);
                _requireBothActive(first, second);
                return;
            }
        }
        _checkCouncil(digest, epoch, authority);
    }
}
