// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// The numbers that stand in words, messages and events. They never change their meaning: a successor
// contract adds new ones at the end.

// ---- Roles of a seat (uint16, one bit each) ------------------------------------------------------------------

// People: keys of the own department.
uint16 constant ADMIN = 1 << 0;
// People: assets and grants.
uint16 constant STEWARD = 1 << 1;
// People: cost statements.
uint16 constant FINANCE = 1 << 2;
// People: chief data officer, co-signs important and core data.
uint16 constant CDO = 1 << 3;
// People: ratifies break-glass, disputes, names the department's own auditors.
uint16 constant OVERSIGHT = 1 << 4;
// People: may break glass for the own department.
uint16 constant EMERGENCY = 1 << 5;
// People: the data bureau's co-signature on core data.
uint16 constant BUREAU = 1 << 6;
// Machines: signs use, receipts and tree heads for the own department.
uint16 constant ATTEST = 1 << 8;
// Machines: cosigns tree heads on chain.
uint16 constant WITNESS = 1 << 9;
// Machines: the city's gateway, records use of every department's assets.
uint16 constant GATEWAY = 1 << 10;

uint16 constant PEOPLE = ADMIN | STEWARD | FINANCE | CDO | OVERSIGHT | EMERGENCY | BUREAU;
uint16 constant MACHINES = ATTEST | WITNESS | GATEWAY;
// What an ADMIN may give and take; everything else needs the council.
uint16 constant GIVEN_BY_ADMIN = STEWARD | FINANCE | ATTEST;
// Who signs beside the ADMIN when a STEWARD is seated: a role that an ADMIN alone can give to nobody.
uint16 constant MAY_SECOND = ADMIN | STEWARD | CDO;

// ---- Roles of a service key (uint8, one bit each) ------------------------------------------------------------

// Calls the API under the department's grants. Given by ADMIN.
uint8 constant KEY_READER = 1 << 0;
// Reads the audit log about its own department. Given by OVERSIGHT, never by ADMIN: who is audited does not
// choose the auditor.
uint8 constant KEY_AUDITOR = 1 << 1;
// Reads the whole audit log. Given by the council.
uint8 constant KEY_CITY_AUDITOR = 1 << 2;

// ---- Rights (uint8) ------------------------------------------------------------------------------------------

// Holding right (数据资源持有权).
uint8 constant RIGHT_HOLD = 1;
// Processing-and-use right (数据加工使用权).
uint8 constant RIGHT_USE = 2;
// Product-operation right (数据产品经营权).
uint8 constant RIGHT_OPERATE = 3;

// ---- Grades of data (uint8); the higher wins -----------------------------------------------------------------

uint8 constant CLASS_GENERAL = 1;
uint8 constant CLASS_IMPORTANT = 2;
uint8 constant CLASS_CORE = 3;

// ---- Sharing classes (uint8) ---------------------------------------------------------------------------------

uint8 constant SHARING_UNCONDITIONAL = 1;
uint8 constant SHARING_CONDITIONAL = 2;
uint8 constant SHARING_NONE = 3;

// ---- Status of a department ----------------------------------------------------------------------------------

uint8 constant DEPARTMENT_ACTIVE = 1;
uint8 constant DEPARTMENT_SUSPENDED = 2;

// ---- Status of an asset --------------------------------------------------------------------------------------

uint8 constant ASSET_ACTIVE = 1;
// Suspended by its holder, who may lift it.
uint8 constant ASSET_SUSPENDED = 2;
// Barred by the data bureau; only the bureau may lift it.
uint8 constant ASSET_BARRED = 3;
uint8 constant ASSET_RETIRED = 4;
// Both: each is lifted by itself.
uint8 constant ASSET_SUSPENDED_AND_BARRED = 5;

// Who stops an asset or lets it go on (`by` of SuspendAsset and LiftAsset).
uint8 constant BY_HOLDER = 1;
uint8 constant BY_BUREAU = 2;

// ---- State of a grant (low four bits of its status byte) and flags (high four) -------------------------------

uint8 constant GRANT_ACTIVE = 1;
uint8 constant GRANT_REVOKED = 2;
uint8 constant GRANT_CANCELLED = 3;
// Revoked, and its children live on under another grant.
uint8 constant GRANT_REPLACED = 4;
uint8 constant GRANT_FLAG_DELEGATED = 1 << 4;
uint8 constant GRANT_FLAG_EMERGENCY = 1 << 5;
uint8 constant GRANT_FLAG_RATIFIED = 1 << 6;

// `maxUses` of a grant without a bound.
uint32 constant UNLIMITED = type(uint32).max;
// By how much a recorded total may rise at once.
uint32 constant USE_STEP_MAX = 100_000;
// `notAfter` of a seat or key without an end.
uint40 constant FOREVER = type(uint40).max;

// ---- Clocks, in seconds --------------------------------------------------------------------------------------

// Time after the end of a grant in which uses made before it may still be recorded.
uint40 constant USE_GRACE = 72 hours;
// Longest break-glass grant.
uint40 constant BREAK_GLASS_MAX = 12 hours;
// Time for another department's oversight to ratify it.
uint40 constant RATIFY_WINDOW = 72 hours;
// Time after an admission is ready in which it must be activated; then it is void.
uint40 constant ADMISSION_WINDOW = 30 days;
// Delay between a recovery's start and its end.
uint40 constant RECOVERY_DELAY = 72 hours;
// Time after that in which it must be ended; then it is void.
uint40 constant RECOVERY_WINDOW = 7 days;
// Longest pause.
uint40 constant PAUSE_MAX = 72 hours;
// Time after a pause in which there can be no other.
uint40 constant PAUSE_COOLDOWN = 7 days;
// Least time between the freeze and the hand-over: what was signed before is mined or refused, and everybody looks.
uint40 constant FREEZE_MIN = 1 hours;
// Longest time between the announcement of a hand-over and its end, beyond the admission delay.
uint40 constant HAND_OVER_MAX = 90 days;

// Parents of a derived asset, steps of derivation, and assets that are looked at for one of them, itself
// included: one that is reached in two ways counts twice.
uint256 constant PARENTS_MAX = 8;
uint256 constant LINEAGE_MAX = 4;
uint256 constant NODES_MAX = 64;

// The highest bit of `depth` in signed terms: the grantee may derive assets of its own under this grant.
uint8 constant MAY_DERIVE = 1 << 7;
// Break-glass acts of one officer that wait for ratification; a department has six.
uint256 constant OPEN_ACTS_OF_ONE = 2;
// Members of the council.
uint256 constant COUNCIL_MAX = 16;
