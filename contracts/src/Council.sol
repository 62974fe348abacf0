// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ICouncil, Pause, ReplaceCouncil, Supersede, Unpause} from "./interfaces/ICouncil.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {FOREVER, PAUSE_COOLDOWN, PAUSE_MAX} from "./types/Codes.sol";
import {CouncilWord} from "./types/CouncilWord.sol";
import {CouncilSeats} from "./CouncilSeats.sol";
import {packGuard} from "./types/GuardWord.sol";

/// @title The council's own acts: its replacement, the pause, the successor (ICouncil)
abstract contract Council is CouncilSeats {
    bytes32 private constant REPLACE_COUNCIL = keccak256(
        "ReplaceCouncil(address[] members,uint8 threshold,address guardian,uint32 epoch,uint40 deadline)"
    );
    bytes32 private constant PAUSE = keccak256("Pause(uint40 duration,uint40 deadline,uint64 salt)");
    bytes32 private constant UNPAUSE = keccak256("Unpause(uint40 deadline,uint64 salt)");
    bytes32 private constant SUPERSEDE =
        keccak256("Supersede(address successor,bytes32 snapshotRoot,uint40 deadline)");

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
        _checkCouncil(digest, signatures);
        _seatCouncil(members, m.threshold, m.guardian, next, word.admissionDelay());
        _checkCouncil(digest, incoming);
    }

    /// @dev ICouncil
    function pause(Pause calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(PAUSE, at, 3);
        _requireInTime(m.deadline);
        _once(structHash);
        address signer = SignatureCheck.recover(_digest(structHash), signature);
        if (signer != _council.guardian()) revert ICouncil.NotGuardian(signer);
        if (m.duration == 0 || m.duration > PAUSE_MAX) revert ICouncil.PauseTooLong(m.duration, PAUSE_MAX);
        if (block.timestamp < _guard.pauseAllowedAt()) revert ICouncil.PauseCooling(_guard.pauseAllowedAt());
        uint40 until = uint40(block.timestamp) + m.duration;
        _guard = packGuard(until, until + PAUSE_COOLDOWN);
        emit ICouncil.Paused(signer, until, until + PAUSE_COOLDOWN, structHash);
    }

    /// @dev ICouncil
    function unpause(Unpause calldata m, bytes[] calldata authority) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(UNPAUSE, at, 2);
        _requireInTime(m.deadline);
        _once(structHash);
        bytes32 digest = _digest(structHash);
        if (authority.length != 1 || SignatureCheck.recoverAt(digest, authority, 0) != _council.guardian()) {
            _checkCouncil(digest, authority);
        }
        uint40 until = _guard.pausedUntil();
        if (until == FOREVER || block.timestamp > until) revert ICouncil.NotPaused();
        _guard = packGuard(uint40(block.timestamp) - 1, _guard.pauseAllowedAt());
        emit ICouncil.Unpaused(structHash);
    }

    /// @dev ICouncil
    function supersede(Supersede calldata m, bytes[] calldata signatures) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(SUPERSEDE, at, 3);
        _requireInTime(m.deadline);
        if (_successor != address(0) || m.successor == address(0)) revert AlreadyDone(structHash);
        _checkCouncil(_digest(structHash), signatures);
        _successor = m.successor;
        _snapshotRoot = m.snapshotRoot;
        _guard = packGuard(FOREVER, FOREVER);
        emit ICouncil.Superseded(m.successor, m.snapshotRoot);
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
    function supersededBy() external view returns (address successor, bytes32 snapshotRoot) {
        return (_successor, _snapshotRoot);
    }
}
