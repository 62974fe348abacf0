// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice An address that comes in, and what it may do from when to when (roles: types/Codes.sol).
struct Seat {
    address holder;
    uint16 roles;
    uint40 notBefore;
    uint40 notAfter;
}

/// @notice An Ed25519 key, the X25519 key for sealed delivery, and its validity.
struct ServiceKey {
    bytes32 key;
    bytes32 hpke;
    uint8 roles;
    uint40 notBefore;
    uint40 notAfter;
}

struct Admission {
    uint24 department;
    address recovery;
    bytes32 profile;
    Seat[] seats;
    ServiceKey[] serviceKeys;
    uint32 epoch;
    uint40 deadline;
}

struct CancelAdmission {
    bytes32 admission;
    uint32 epoch;
    uint40 deadline;
}

struct AddOfficer {
    uint24 department;
    address officer;
    uint16 roles;
    uint40 notBefore;
    uint40 notAfter;
    uint32 epoch;
    uint40 deadline;
}

struct RemoveOfficer {
    address officer;
    uint32 epoch;
    uint40 deadline;
}

struct AddAttestKey {
    uint24 department;
    address key;
    uint16 roles;
    uint40 notBefore;
    uint40 notAfter;
    uint32 epoch;
    uint40 deadline;
}

struct RemoveAttestKey {
    address key;
    uint32 epoch;
    uint40 deadline;
}

struct AddServiceKey {
    uint24 department;
    bytes32 key;
    bytes32 hpke;
    uint8 roles;
    uint40 notBefore;
    uint40 notAfter;
    uint32 epoch;
    uint40 deadline;
}

struct RemoveServiceKey {
    uint24 department;
    bytes32 key;
    uint32 epoch;
    uint40 deadline;
}

struct RotateKey {
    address from;
    address to;
    uint40 deadline;
}

struct Recover {
    uint24 department;
    address from;
    address to;
    uint32 epoch;
    uint40 deadline;
    uint64 salt;
}

struct VetoRecovery {
    bytes32 recovery;
    uint40 deadline;
}

struct OverrideVeto {
    bytes32 recovery;
    uint32 epoch;
    uint40 deadline;
}

struct CancelRecovery {
    bytes32 recovery;
    uint32 epoch;
    uint40 deadline;
}

struct SetRecoveryKey {
    uint24 department;
    address recovery;
    uint32 epoch;
    uint40 deadline;
    uint64 salt;
}

struct SuspendDepartment {
    uint24 department;
    bytes32 reason;
    uint32 epoch;
    uint40 deadline;
    uint64 salt;
}

struct LiftDepartment {
    uint24 department;
    bytes32 reason;
    uint32 epoch;
    uint40 deadline;
    uint64 salt;
}

/// @title Acts on departments, officers and keys
/// @notice `authority` is either one officer's signature (two seat a STEWARD) or a quorum of the council; `possession` is the
/// signature of the address that comes in, over the same message. Anyone may submit.
interface IOffices {
    /// @notice The department may take its place from `readyAt` on.
    event AdmissionProposed(uint24 indexed department, bytes32 indexed admission, uint40 readyAt, uint32 epoch);
    /// @notice The proposal is void.
    event AdmissionCancelled(bytes32 indexed admission);

    error AdmissionUnknown(bytes32 admission);
    error AdmissionNotReady(bytes32 admission, uint40 readyAt);
    /// @notice It was not activated in time.
    error AdmissionOver(bytes32 admission, uint40 until);
    /// @notice A department begins with at least one ADMIN and one recovery key.
    error AdmissionIncomplete(uint24 department);
    error DepartmentNotSuspended(uint24 department, uint8 standing);

    /// @notice The council proposes a department; it may be activated after the admission delay.
    function proposeAdmission(Admission calldata m, bytes[] calldata council) external returns (bytes32 admission);

    /// @notice The proposed department takes its place.
    /// @param possession One signature of every seat's address over the Admission, in the order of the seats.
    function activate(Admission calldata m, bytes[] calldata possession) external;

    /// @notice Both in one, where the admission delay is 0.
    function admit(Admission calldata m, bytes[] calldata council, bytes[] calldata possession) external;

    /// @notice The council takes a proposal back.
    function cancelAdmission(CancelAdmission calldata m, bytes[] calldata council) external;

    /// @notice ADMIN of the department for FINANCE; for STEWARD, ADMIN and then another ADMIN, STEWARD or CDO of the
    /// department; the council for every people's role. What the council gives alone begins after the admission delay; with
    /// an ADMIN of the department behind the council it begins as it says. A seat that is there, with the same roles, is
    /// prolonged.
    function addOfficer(AddOfficer calldata m, bytes[] calldata authority, bytes calldata possession) external;

    /// @notice The officer itself, ADMIN of its department for STEWARD and FINANCE, or the council; before the seat
    /// begins, ADMIN, CDO or OVERSIGHT of its department. Who holds now what `officer` held is removed.
    function removeOfficer(RemoveOfficer calldata m, bytes[] calldata authority) external;

    /// @notice ADMIN of the department for ATTEST; the council for WITNESS and GATEWAY.
    function addAttestKey(AddAttestKey calldata m, bytes[] calldata authority, bytes calldata possession) external;

    /// @notice As `removeOfficer`: the key itself, ADMIN for ATTEST, or the council.
    function removeAttestKey(RemoveAttestKey calldata m, bytes[] calldata authority) external;

    /// @notice ADMIN for READER, OVERSIGHT for AUDITOR of the own department, the council for every role. A
    /// removed key never comes back. Possession is shown to the gateway by the key's first signed call.
    function addServiceKey(AddServiceKey calldata m, bytes[] calldata authority) external;

    /// @notice OVERSIGHT where it audits, otherwise ADMIN; the council; before it begins, ADMIN, CDO or OVERSIGHT.
    function removeServiceKey(RemoveServiceKey calldata m, bytes[] calldata authority) external;

    /// @notice A seat passes to a new address at once.
    /// @param signatures Of the old and of the new address.
    function rotateKey(RotateKey calldata m, bytes[] calldata signatures) external;

    /// @notice Begins the recovery of a lost seat; ready after 72 hours.
    /// @param signatures Of the department's recovery key and of the new address.
    function startRecovery(Recover calldata m, bytes[] calldata signatures, bytes[] calldata council) external;

    /// @notice The old key says no, once in its life.
    function vetoRecovery(address from, VetoRecovery calldata m, bytes calldata signature) external;

    /// @notice The council lets the vetoed recovery go on.
    function overrideVeto(address from, OverrideVeto calldata m, bytes[] calldata council) external;

    /// @notice The council calls a recovery off, also one that an earlier council began.
    function cancelRecovery(address from, CancelRecovery calldata m, bytes[] calldata council) external;

    /// @notice Anyone, once the delay is over.
    function finishRecovery(address from) external;

    /// @notice Another key may begin recoveries of the department's seats.
    /// @param signature Of an ADMIN of the department.
    function setRecoveryKey(SetRecoveryKey calldata m, bytes calldata signature, bytes[] calldata council) external;

    /// @notice ADMIN, CDO or OVERSIGHT of the department; two BUREAU of two other departments; or the council. At once.
    function suspendDepartment(SuspendDepartment calldata m, bytes[] calldata authority) external;

    /// @notice The council: one stolen key cannot undo a suspension.
    function liftDepartment(LiftDepartment calldata m, bytes[] calldata council) external;

    /// @notice A service key as it stands; `active`: valid now, of an active department.
    function serviceKey(uint24 department, bytes32 key)
        external
        view
        returns (bytes32 hpke, uint8 roles, uint40 notBefore, uint40 notAfter, uint8 flags, bool active);

    /// @notice A department as it stands: `standing` 0 not admitted, 1 active, 2 suspended; whether it may
    /// break glass now; break-glass acts that wait for ratification.
    function department(uint24 number)
        external
        view
        returns (uint8 standing, address recovery, bool emergencyPrivilege, uint8 openActs);

    /// @notice A recovery as it stands; `readyAt` is 0 if there is none.
    function recovery(address from) external view returns (address to, uint40 readyAt, bool vetoed, bytes32 id);

    /// @notice When a proposed admission may be activated, for 30 days and under the council of this epoch; 0 unknown,
    /// 2^40-1 cancelled or used.
    function admission(bytes32 id) external view returns (uint40 readyAt, uint32 epoch);
}
