// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title What happens to departments, seats and keys, and why an act on them is refused
/// @notice `message` in an event, here and elsewhere: the struct hash of a message that has no slot of its own,
/// and is refused from then on (AlreadyDone).
interface IDepartmentRecord {
    /// @notice The department took its place; `profile` is the hash of its catalogue entry.
    event DepartmentAdmitted(uint24 indexed department, bytes32 indexed admission, address recovery, bytes32 profile);
    /// @notice It grants, registers, receives and attests nothing. `by` is zero where the council did it.
    event DepartmentSuspended(uint24 indexed department, address by, bytes32 reason, bytes32 message);
    /// @notice The council ended the suspension.
    event DepartmentLifted(uint24 indexed department, bytes32 reason, bytes32 message);
    /// @notice The department's recovery key is now `recovery`.
    event RecoveryKeySet(uint24 indexed department, address recovery, bytes32 message);

    /// @notice A person's seat, with its roles and term.
    event OfficerAdded(
        address indexed officer, uint24 indexed department, uint16 roles, uint40 notBefore, uint40 notAfter
    );
    /// @notice The seat is empty for ever.
    event OfficerRemoved(address indexed officer, uint24 indexed department);
    /// @notice A machine's seat, with its roles and term.
    event AttestKeyAdded(
        address indexed key, uint24 indexed department, uint16 roles, uint40 notBefore, uint40 notAfter
    );
    /// @notice The machine's seat is empty for ever.
    event AttestKeyRemoved(address indexed key, uint24 indexed department);
    /// @notice The seat of `from` (officer or attest key) passed to `to` with its roles and end; `from` is dead.
    event SeatRotated(
        address indexed from, address indexed to, uint24 indexed department, uint16 roles, uint40 notBefore, uint40 notAfter
    );

    /// @notice An Ed25519 key, the X25519 key for sealed delivery, and its validity.
    event ServiceKeyAdded(
        uint24 indexed department, bytes32 indexed key, bytes32 hpke, uint8 roles, uint40 notBefore, uint40 notAfter
    );
    /// @notice The key never comes back.
    event ServiceKeyRemoved(uint24 indexed department, bytes32 indexed key);

    /// @notice A recovery of seat `from` to `to` began; `recovery` is the struct hash of its message.
    event RecoveryStarted(
        address indexed from,
        address indexed to,
        uint24 indexed department,
        bytes32 recovery,
        uint40 readyAt,
        uint32 epoch
    );
    /// @notice The council called it off.
    event RecoveryCancelled(address indexed from, bytes32 recovery);
    /// @notice The old key said no; it will not say so again.
    event RecoveryVetoed(address indexed from, bytes32 recovery);
    /// @notice The council overrode the veto.
    event VetoOverridden(address indexed from, bytes32 recovery);

    /// @notice The signer holds no seat, or its seat is not in its term, removed or rotated out.
    error NotInOffice(address signer);
    /// @notice The signer's department is `has` where `needs` is needed.
    error WrongDepartment(address signer, uint24 has, uint24 needs);
    /// @notice The signer has the roles `has` where `needs` are needed, all or one of them.
    error RoleMissing(address signer, uint16 has, uint16 needs);
    /// @notice One officer signed twice where distinct officers are needed.
    error SignerRepeated(address signer);
    error DepartmentExists(uint24 department);
    /// @notice `standing` 0 not admitted, 2 suspended.
    error DepartmentNotActive(uint24 department, uint8 standing);
    /// @notice The address has or had its place (a seat, or the council), and this does not prolong it.
    error AddressTaken(address holder);
    /// @notice Roles that cannot stand together, are unknown, or are none.
    error RolesInvalid(uint16 roles);
    /// @notice This authority may not give or take these roles.
    error RolesNotGivable(address signer, uint16 roles);
    error TermInvalid(uint40 notBefore, uint40 notAfter);
    error KeyTaken(uint24 department, bytes32 key);
    error KeyUnknown(uint24 department, bytes32 key);
    error RecoverySignerWrong(address signer, address needs);
    error RecoveryPending(address from);
    error RecoveryNotPending(address from);
    error RecoveryNotReady(address from, uint40 readyAt);
    error VetoAlreadySpent(address from);
    /// @notice The possession signature is not by the address that is to come in.
    error PossessionMissing(address needs, address signer);
}

/// @title Departments, their officers, service keys and attest keys
/// @notice A department is a number. An address (officer or attest key) sits in one department for ever and
/// comes in only with its own signature. What the other contracts of the deployment ask is here.
interface IDepartments is IDepartmentRecord {
    /// @notice The salt of the deployment's EIP-712 domains.
    function salt() external view returns (bytes32);

    /// @notice The department an attest key signs for and its machine roles (ATTEST, WITNESS, GATEWAY);
    /// `active`: in its term, not removed, of a department that is active.
    function attestKey(address key) external view returns (uint24 department, uint16 roles, bool active);

    /// @notice An officer's (or attest key's) seat as it stands; `active` as in `attestKey`.
    function officer(address who)
        external
        view
        returns (uint24 department, uint16 roles, uint40 notBefore, uint40 notAfter, uint8 flags, bool active);

    /// @notice The department of `who`, who is active and holds every role of `needs`; reverts otherwise: NotInOffice,
    /// RoleMissing, DepartmentNotActive.
    function requireOfficer(address who, uint16 needs) external view returns (uint24 department);

    /// @notice The standings of departments 64 * `group` and after, four bits each, the lowest first (types/DeptWord.sol).
    function standings(uint256 group) external view returns (uint256);

    /// @notice Reverts unless `signatures` over `digest` are a quorum of the council of this epoch: SignatureLength,
    /// SignatureHighS, SignatureInvalid, NotCouncil, SignerRepeated, CouncilQuorum. Replays are the caller's
    /// matter.
    function checkCouncil(bytes32 digest, uint32 epoch, bytes[] calldata signatures) external view;

    /// @notice The last second of the running or last pause. A hand-over does not show here.
    function pausedUntil() external view returns (uint40);
}
