// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {CancelRecovery, OverrideVeto, Recover, RotateKey, SetRecoveryKey, VetoRecovery} from "./interfaces/IOffices.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {Offices} from "./Offices.sol";
import {ADMIN, EMERGENCY, RECOVERY_DELAY, RECOVERY_WINDOW} from "./types/Codes.sol";
import {OfficerWord, SEAT_REMOVED, SEAT_ROTATED, SEAT_VETO_SPENT, packOfficer} from "./types/OfficerWord.sol";

/// @title A seat passes to another key: by rotation, or by recovery when the key is lost (IOffices)
/// @notice Nothing here is stopped by a pause.
abstract contract Recoveries is Offices {
    bytes32 private constant ROTATE_KEY = keccak256("RotateKey(address from,address to,uint40 deadline)");
    bytes32 private constant RECOVER =
        keccak256("Recover(uint24 department,address from,address to,uint32 epoch,uint40 deadline,uint64 salt)");
    bytes32 private constant VETO_RECOVERY = keccak256("VetoRecovery(bytes32 recovery,uint40 deadline)");
    bytes32 private constant OVERRIDE_VETO = keccak256("OverrideVeto(bytes32 recovery,uint32 epoch,uint40 deadline)");
    bytes32 private constant CANCEL_RECOVERY =
        keccak256("CancelRecovery(bytes32 recovery,uint32 epoch,uint40 deadline)");
    bytes32 private constant SET_RECOVERY_KEY =
        keccak256("SetRecoveryKey(uint24 department,address recovery,uint32 epoch,uint40 deadline,uint64 salt)");

    /// @dev IOffices
    function rotateKey(RotateKey calldata m, bytes[] calldata signatures) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        _requireCount(signatures.length, 2);
        bytes32 digest = _digest(StructHash.flat(ROTATE_KEY, at, 3));
        address signer = SignatureCheck.recoverAt(digest, signatures, 0);
        if (signer != m.from) revert PossessionMissing(m.from, signer);
        _requirePossession(digest, signatures[1], m.to);
        OfficerWord seat = _requireSeat(m.from, 0);
        _requireActive(seat.department());
        // A thief must not slip away from a recovery that has begun.
        if (_pending(m.from) && !_recoveries[m.from].vetoed) revert RecoveryPending(m.from);
        _pass(m.from, m.to, seat, uint40(block.timestamp));
    }

    /// @dev IOffices
    function startRecovery(Recover calldata m, bytes[] calldata signatures, bytes[] calldata council) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 id = StructHash.flat(RECOVER, at, 6);
        _requireInTime(m.deadline);
        _once(id, m.salt);
        _requireCount(signatures.length, 2);
        (address from, OfficerWord seat) = _whoHolds(m.from);
        if (seat.isEmpty() || seat.flags() & SEAT_REMOVED != 0) revert NotInOffice(from);
        if (seat.department() != m.department) revert WrongDepartment(from, seat.department(), m.department);
        if (_pending(from) && !_recoveries[from].vetoed) revert RecoveryPending(from);
        bytes32 digest = _digest(id);
        address signer = SignatureCheck.recoverAt(digest, signatures, 0);
        if (signer != _recoveryKeys[m.department]) revert RecoverySignerWrong(signer, _recoveryKeys[m.department]);
        _requirePossession(digest, signatures[1], m.to);
        _requireFresh(m.to);
        _checkCouncil(digest, m.epoch, council);
        uint40 readyAt = uint40(block.timestamp) + RECOVERY_DELAY;
        _recoveries[from] = RecoverySlot(m.to, readyAt, false, m.epoch, id);
        emit RecoveryStarted(from, m.to, m.department, id, readyAt, m.epoch);
    }

    /// @dev IOffices
    function vetoRecovery(address from, VetoRecovery calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        RecoverySlot storage slot = _requirePending(from, m.recovery);
        _requirePossession(_digest(StructHash.flat(VETO_RECOVERY, at, 2)), signature, from);
        OfficerWord seat = _requireSeat(from, 0);
        if (seat.flags() & SEAT_VETO_SPENT != 0) revert VetoAlreadySpent(from);
        slot.vetoed = true;
        _seats[from] = seat.withFlag(SEAT_VETO_SPENT);
        emit RecoveryVetoed(from, m.recovery);
    }

    /// @dev IOffices
    function overrideVeto(address from, OverrideVeto calldata m, bytes[] calldata council) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        RecoverySlot storage slot = _requirePending(from, m.recovery);
        if (!slot.vetoed) revert RecoveryNotPending(from);
        _checkCouncil(_digest(StructHash.flat(OVERRIDE_VETO, at, 3)), m.epoch, council);
        slot.vetoed = false;
        emit VetoOverridden(from, m.recovery);
    }

    /// @dev IOffices
    function finishRecovery(address from) external {
        RecoverySlot memory slot = _recoveries[from];
        if (!_pending(from) || slot.vetoed) revert RecoveryNotPending(from);
        if (block.timestamp < slot.readyAt) revert RecoveryNotReady(from, slot.readyAt);
        OfficerWord seat = _seats[from];
        if (seat.flags() & (SEAT_REMOVED | SEAT_ROTATED) != 0) revert NotInOffice(from);
        uint40 start = uint40(block.timestamp);
        _pass(from, slot.to, seat, seat.notBefore() > start ? seat.notBefore() : start);
    }

    /// @dev IOffices
    function cancelRecovery(address from, CancelRecovery calldata m, bytes[] calldata council) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        RecoverySlot storage slot = _recoveries[from];
        if (slot.readyAt == 0 || slot.id != m.recovery) revert RecoveryNotPending(from);
        _checkCouncil(_digest(StructHash.flat(CANCEL_RECOVERY, at, 3)), m.epoch, council);
        slot.readyAt = 0;
        emit RecoveryCancelled(from, m.recovery);
    }

    /// @dev IOffices
    function setRecoveryKey(SetRecoveryKey calldata m, bytes calldata signature, bytes[] calldata council) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(SET_RECOVERY_KEY, at, 5);
        _requireInTime(m.deadline);
        _once(structHash, m.salt);
        bytes32 digest = _digest(structHash);
        _requireSeatIn(SignatureCheck.recover(digest, signature), m.department, ADMIN);
        _checkCouncil(digest, m.epoch, council);
        if (m.recovery == address(0)) revert RecoverySignerWrong(address(0), address(0));
        _recoveryKeys[m.department] = m.recovery;
        emit RecoveryKeySet(m.department, m.recovery, structHash);
    }

    /// @dev IOffices
    function recovery(address from) external view returns (address to, uint40 readyAt, bool vetoed, bytes32 id) {
        RecoverySlot memory slot = _recoveries[from];
        return (slot.to, slot.readyAt, slot.vetoed, slot.id);
    }

    /// @dev Begun by the council that is in office, not ended, and not older than its window.
    function _pending(address from) private view returns (bool) {
        RecoverySlot storage slot = _recoveries[from];
        uint40 readyAt = slot.readyAt;
        return readyAt != 0 && block.timestamp <= readyAt + RECOVERY_WINDOW && slot.epoch == _council.epoch();
    }

    function _requirePending(address from, bytes32 id) private view returns (RecoverySlot storage slot) {
        slot = _recoveries[from];
        if (!_pending(from) || slot.id != id) revert RecoveryNotPending(from);
    }

    /// @dev Roles, end and a spent veto go with the seat; the old address is dead for ever, and says who follows it.
    function _pass(address from, address to, OfficerWord seat, uint40 start) private {
        _requireFresh(to);
        _seats[from] = seat.withFlag(SEAT_ROTATED);
        _seats[to] = packOfficer(
            seat.department(), seat.roles(), start, seat.notAfter(), seat.flags() & SEAT_VETO_SPENT
        );
        _recoveries[from].to = to;
        _recoveries[from].readyAt = 0;
        if (seat.roles() & EMERGENCY != 0) {
            address first = _firstKeys[from];
            _firstKeys[to] = first == address(0) ? from : first;
        }
        emit SeatRotated(from, to, seat.department(), seat.roles(), start, seat.notAfter());
    }
}
