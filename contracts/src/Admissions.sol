// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {
    Admission,
    CancelAdmission,
    IOffices,
    LiftDepartment,
    Seat,
    ServiceKey,
    SuspendDepartment
} from "./interfaces/IOffices.sol";
import {IAssets} from "./interfaces/IAssets.sol";
import {ICouncil} from "./interfaces/ICouncil.sol";
import {StructHash} from "./lib/StructHash.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {Offices} from "./Offices.sol";
import {
    ADMIN,
    ADMISSION_WINDOW,
    CDO,
    DEPARTMENT_ACTIVE,
    DEPARTMENT_SUSPENDED,
    OVERSIGHT
} from "./types/Codes.sol";
import {EmergencyWord, OPEN_ACTS_MAX} from "./types/EmergencyWord.sol";

/// @title Departments are admitted, suspended and lifted (IOffices)
abstract contract Admissions is Offices {
    bytes32 private constant ADMISSION = keccak256(
        "Admission(uint24 department,address recovery,bytes32 profile,Seat[] seats,ServiceKey[] serviceKeys,uint32 epoch,uint40 deadline)Seat(address holder,uint16 roles,uint40 notBefore,uint40 notAfter)ServiceKey(bytes32 key,bytes32 hpke,uint8 roles,uint40 notBefore,uint40 notAfter)"
    );
    bytes32 private constant SEAT =
        keccak256("Seat(address holder,uint16 roles,uint40 notBefore,uint40 notAfter)");
    bytes32 private constant SERVICE_KEY =
        keccak256("ServiceKey(bytes32 key,bytes32 hpke,uint8 roles,uint40 notBefore,uint40 notAfter)");
    bytes32 private constant CANCEL_ADMISSION = keccak256("CancelAdmission(bytes32 admission,uint32 epoch,uint40 deadline)");
    bytes32 private constant SUSPEND_DEPARTMENT =
        keccak256("SuspendDepartment(uint24 department,bytes32 reason,uint32 epoch,uint40 deadline,uint64 salt)");
    bytes32 private constant LIFT_DEPARTMENT =
        keccak256("LiftDepartment(uint24 department,bytes32 reason,uint32 epoch,uint40 deadline,uint64 salt)");

    uint40 private constant CLOSED = type(uint40).max;

    // ---- Acts ------------------------------------------------------------------------------------------------

    /// @dev IOffices
    function proposeAdmission(Admission calldata m, bytes[] calldata council) external returns (bytes32 id) {
        id = _hashAdmission(m);
        _propose(id, m, council);
    }

    /// @dev IOffices
    function activate(Admission calldata m, bytes[] calldata possession) external {
        _activate(_hashAdmission(m), m, possession);
    }

    /// @dev IOffices
    function admit(Admission calldata m, bytes[] calldata council, bytes[] calldata possession) external {
        bytes32 id = _hashAdmission(m);
        _propose(id, m, council);
        _activate(id, m, possession);
    }

    /// @dev IOffices
    function cancelAdmission(CancelAdmission calldata m, bytes[] calldata council) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        _requireProposed(m.admission);
        _checkCouncil(_digest(StructHash.flat(CANCEL_ADMISSION, at, 3)), m.epoch, council);
        _admissions[m.admission] = AdmissionSlot(CLOSED, m.epoch);
        emit IOffices.AdmissionCancelled(m.admission);
    }

    /// @dev IOffices
    function suspendDepartment(SuspendDepartment calldata m, bytes[] calldata authority) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(SUSPEND_DEPARTMENT, at, 5);
        _requireClean(m.epoch);
        _requireInTime(m.deadline);
        _once(structHash, m.salt);
        _requireActive(m.department);
        address signer = _requireSuspender(m, _digest(structHash), authority);
        _stand(m.department, DEPARTMENT_SUSPENDED);
        emit DepartmentSuspended(m.department, signer, m.reason, structHash);
    }

    /// @dev IOffices
    function liftDepartment(LiftDepartment calldata m, bytes[] calldata council) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        bytes32 structHash = StructHash.flat(LIFT_DEPARTMENT, at, 5);
        _requireInTime(m.deadline);
        _requireRunning();
        _once(structHash, m.salt);
        _checkCouncil(_digest(structHash), m.epoch, council);
        uint8 standing = _standing(m.department);
        if (standing != DEPARTMENT_SUSPENDED) revert IOffices.DepartmentNotSuspended(m.department, standing);
        _stand(m.department, DEPARTMENT_ACTIVE);
        emit DepartmentLifted(m.department, m.reason, structHash);
    }

    // ---- Views -----------------------------------------------------------------------------------------------

    /// @dev IOffices
    function department(uint24 number)
        external
        view
        returns (uint8 standing, address recoveryKey, bool emergencyPrivilege, uint8 openActs)
    {
        EmergencyWord word = _emergencies[number];
        standing = _standing(number);
        emergencyPrivilege = standing == DEPARTMENT_ACTIVE && word.overdue(block.timestamp) == 0;
        for (uint256 i = 0; i < OPEN_ACTS_MAX; ++i) {
            if (word.due(i) != 0) ++openActs;
        }
        return (standing, _recoveryKeys[number], emergencyPrivilege, openActs);
    }

    /// @dev IOffices
    function admission(bytes32 id) external view returns (uint40 readyAt, uint32 epoch) {
        AdmissionSlot memory slot = _admissions[id];
        return (slot.readyAt, slot.epoch);
    }

    // ---- Rules -----------------------------------------------------------------------------------------------

    function _propose(bytes32 id, Admission calldata m, bytes[] calldata council) private {
        _requireInTime(m.deadline);
        _requireRunning();
        if (_admissions[id].readyAt != 0) revert AlreadyDone(id);
        if (m.department == 0 || _standing(m.department) != 0) revert DepartmentExists(m.department);
        _checkCouncil(_digest(id), m.epoch, council);
        uint40 readyAt = uint40(block.timestamp) + _council.admissionDelay();
        _admissions[id] = AdmissionSlot(readyAt, m.epoch);
        emit IOffices.AdmissionProposed(m.department, id, readyAt, m.epoch);
    }

    /// @return readyAt Of a proposal that is neither cancelled nor used.
    function _requireProposed(bytes32 id) private view returns (uint40 readyAt) {
        readyAt = _admissions[id].readyAt;
        if (readyAt == 0 || readyAt == CLOSED) revert IOffices.AdmissionUnknown(id);
    }

    function _activate(bytes32 id, Admission calldata m, bytes[] calldata possession) private {
        _requireInTime(m.deadline);
        _requireRunning();
        uint40 readyAt = _requireProposed(id);
        if (block.timestamp < readyAt) revert IOffices.AdmissionNotReady(id, readyAt);
        if (block.timestamp > readyAt + ADMISSION_WINDOW) revert IOffices.AdmissionOver(id, readyAt + ADMISSION_WINDOW);
        if (m.epoch != _council.epoch()) revert ICouncil.EpochWrong(m.epoch, _council.epoch());
        if (_standing(m.department) != 0) revert DepartmentExists(m.department);
        _requireCount(possession.length, m.seats.length);

        _admissions[id] = AdmissionSlot(CLOSED, m.epoch);
        _stand(m.department, DEPARTMENT_ACTIVE);
        _recoveryKeys[m.department] = m.recovery;
        emit DepartmentAdmitted(m.department, id, m.recovery, m.profile);

        bytes32 digest = _digest(id);
        uint16 seen;
        for (uint256 i = 0; i < m.seats.length; ++i) {
            Seat calldata s = m.seats[i];
            _requirePossession(digest, possession[i], s.holder);
            _seat(m.department, s.holder, s.roles, s.notBefore, s.notAfter);
            seen |= s.roles;
        }
        if (seen & ADMIN == 0 || m.recovery == address(0)) revert IOffices.AdmissionIncomplete(m.department);
        for (uint256 i = 0; i < m.serviceKeys.length; ++i) {
            ServiceKey calldata k = m.serviceKeys[i];
            _addServiceKey(m.department, k.key, k.hpke, k.roles, k.notBefore, k.notAfter);
        }
    }

    /// @dev One officer of the department itself; two of the data bureau, of two other departments; or the council.
    /// @return signer The first; zero for the council.
    function _requireSuspender(SuspendDepartment calldata m, bytes32 digest, bytes[] calldata authority)
        private
        view
        returns (address signer)
    {
        if (authority.length != 0) signer = SignatureCheck.recoverAt(digest, authority, 0);
        if (authority.length == 0 || authority.length > 2 || _memberPlace[signer] != 0) {
            _checkCouncil(digest, m.epoch, authority);
            return address(0);
        }
        if (authority.length == 1) {
            return _signedByEither(digest, authority[0], m.department, ADMIN | CDO | OVERSIGHT);
        }
        (, uint24 one) = _signedByBureau(digest, authority, 0);
        (, uint24 other) = _signedByBureau(digest, authority, 1);
        if (one == other || one == m.department || other == m.department) {
            revert IAssets.BureauNotIndependent(one == other ? one : m.department);
        }
    }

    function _stand(uint24 number, uint8 standing) private {
        _standings[number >> 6] = _standings[number >> 6].withStanding(number, standing);
    }

    function _hashAdmission(Admission calldata m) private pure returns (bytes32) {
        bytes32[] memory seats = new bytes32[](m.seats.length);
        for (uint256 i = 0; i < seats.length; ++i) {
            Seat calldata s = m.seats[i];
            uint256 at;
            assembly ("memory-safe") {
                at := s
            }
            seats[i] = StructHash.flat(SEAT, at, 4);
        }
        bytes32[] memory keys = new bytes32[](m.serviceKeys.length);
        for (uint256 i = 0; i < keys.length; ++i) {
            ServiceKey calldata k = m.serviceKeys[i];
            uint256 at;
            assembly ("memory-safe") {
                at := k
            }
            keys[i] = StructHash.flat(SERVICE_KEY, at, 5);
        }
        return keccak256(
            abi.encode(
                ADMISSION,
                m.department,
                m.recovery,
                m.profile,
                StructHash.list(seats),
                StructHash.list(keys),
                m.epoch,
                m.deadline
            )
        );
    }
}
