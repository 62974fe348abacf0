// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice What a department has put into and taken out of its account since it was opened: totals, so that a
/// message sent twice or late changes nothing.
/// @param voucher Hash of the budget document
struct SetBudget {
    uint64 pool;
    uint24 department;
    uint80 deposited;
    uint80 withdrawn;
    bytes32 voucher;
    uint40 deadline;
}

/// @notice The settlement of a pool for a period.
/// @param version 1 for the first of the period, then one more each
/// @param supersedes The statement before it, zero for the first. When that one is settled already, this one
/// adjusts it: its nets are the differences
/// @param lineRoot Root over the leaves of all `Line`s: pairs are hashed first in, first out, until one node is left
/// @param lines How many lines there are
/// @param debits What all net payers owe together
/// @param members How many departments stand in the lines
/// @param window Seconds in which it can be objected to and a line be disputed, from the block of the commitment
/// @param ruleHash Hash of the allocation rule's code
/// @param inputRoot Root over what the rule was applied to
struct CommitStatement {
    uint64 pool;
    uint32 period;
    uint32 version;
    bytes32 supersedes;
    bytes32 lineRoot;
    uint32 lines;
    uint128 debits;
    uint32 members;
    uint40 window;
    bytes32 ruleHash;
    bytes32 inputRoot;
    uint40 deadline;
}

/// @notice One share of one cost component: `debtor` owes `creditor` the amount; below zero it is a refund.
struct Line {
    bytes32 component;
    uint24 debtor;
    uint24 creditor;
    int128 amount;
}

/// @notice A department asks to see every line of a statement: before that it is not settled.
/// @param reason Hash of the objection
struct Objection {
    bytes32 statement;
    bytes32 reason;
    uint40 deadline;
}

/// @notice Every line of a statement is put on chain.
struct ShowLines {
    bytes32 statement;
    uint40 deadline;
}

/// @notice A party of a line objects to it.
/// @param line Leaf of the line
/// @param reason Hash of the objection
struct Dispute {
    bytes32 statement;
    bytes32 line;
    bytes32 reason;
    uint40 deadline;
}

/// @notice A dispute ends: withdrawn by its raiser's department, or dismissed by the data bureau of a third one.
struct CloseDispute {
    bytes32 dispute;
    bytes32 reason;
    uint40 deadline;
}

/// @notice Settle a statement whose dispute window has passed.
struct Finalise {
    bytes32 statement;
    uint40 deadline;
}

enum StatementState {
    None,
    Open,
    Superseded,
    Final
}

/// @notice What the chain keeps of a statement.
/// @param disputableUntil Last second of its window, which begins anew when its lines are shown late
/// @param disputes How many are open, also those raised against versions before it: none may be when it is settled
/// @param objected Somebody asks to see its lines, or asked to see those of a version before it
/// @param shown Its lines are on chain
/// @param waitsUntil Last second of the wait after the last dismissal of a dispute
struct StatementStatus {
    StatementState state;
    uint32 version;
    uint40 committedAt;
    uint40 disputableUntil;
    uint32 disputes;
    bool objected;
    bool shown;
    uint40 waitsUntil;
}

/// @notice A budget account: balance = deposited - withdrawn + all nets settled so far. `deposited` is below 2^56: then
/// no balance can be too large to be credited, whatever is deposited in a pool.
struct Account {
    uint80 balance;
    uint80 deposited;
    uint80 withdrawn;
}

/// @notice All accounts of a pool together: their balances sum to deposited - withdrawn, always.
struct Totals {
    uint128 deposited;
    uint128 withdrawn;
}

/// @title Cost pools: budgets, statements and their settlement
/// @notice A pool shares the cost of data between departments. Each keeps a budget account in it, in fen, that
/// only its own finance officer fills or empties and that nobody can transfer. The department that runs
/// the pool commits a statement of who owes whom, the others have time to ask for all of its lines and to dispute one,
/// and then it is settled at once, for all members or for none. What a member receives or pays is summed up from the
/// lines here, each time.
///
/// A pool is numbered like an asset: the department that runs it << 40 | sequence. Merkle trees are those of
/// OpenZeppelin: a leaf is keccak256(keccak256(abi.encode(fields))), a pair is hashed in sorted order. A
/// statement, and a dispute, is named by the EIP-712 struct hash of the message that made it: its slot is
/// the replay guard, and its fields are given again in calldata instead of being stored.
interface ICostPools {
    /// @notice The account's totals and what it holds now.
    event Budgeted(
        uint64 indexed pool,
        uint24 indexed department,
        uint80 deposited,
        uint80 withdrawn,
        uint80 balance,
        bytes32 voucher
    );
    /// @notice The statement stands for its period and is open to dispute until `time` + `window`.
    event StatementCommitted(
        bytes32 indexed id, uint64 indexed pool, uint32 indexed period, CommitStatement statement, uint40 time
    );
    /// @notice The open statement `id` will not be settled: `by` takes its place, with its open disputes and with the
    /// objection to it. Comes after the `StatementCommitted` of `by`.
    event StatementSuperseded(bytes32 indexed id, bytes32 indexed by, uint32 disputes, bool objected);
    /// @notice `department` asks for the lines: nothing settles until they are shown.
    event Objected(bytes32 indexed statement, uint24 indexed department, bytes32 reason);
    /// @notice Every line of the statement, shown by an officer of `department`. Each can be disputed until `until`.
    event LinesShown(bytes32 indexed statement, uint24 indexed department, Line[] lines, uint40 until);
    /// @notice `department` objects to the line; nothing settles until the dispute is closed, in no later version either.
    event DisputeRaised(
        bytes32 indexed id, bytes32 indexed statement, uint24 indexed department, Line line, bytes32 reason
    );
    /// @notice By its raiser's department, `waitsUntil` 0; or dismissed by the bureau of this one, and nothing settles
    /// up to and in that second. `statement` is the version against which it was raised.
    event DisputeClosed(
        bytes32 indexed id, bytes32 indexed statement, uint24 indexed department, bytes32 reason, uint40 waitsUntil
    );
    /// @notice `amount` was added to the member's account in the statement's pool, which now holds `balance`.
    event Settled(bytes32 indexed statement, uint24 indexed department, int128 amount, uint80 balance);
    /// @notice Every member's `Settled` came before, in this transaction, in no particular order.
    event StatementFinal(bytes32 indexed id, uint64 indexed pool, uint32 indexed period, uint40 time);

    /// @notice A total below the one that stands, or both unchanged: an older message, or the same again.
    error StaleBudget(uint64 pool, uint24 department, uint80 deposited, uint80 withdrawn);
    /// @notice More would leave the account than it holds.
    error BudgetExceeded(uint64 pool, uint24 department, uint256 balance, uint256 amount);
    /// @notice 2^56 fen or more in all.
    error DepositTooLarge(uint64 pool, uint24 department, uint80 deposited);
    error StatementUnknown(bytes32 id);
    error StatementNotOpen(bytes32 id, StatementState state);
    /// @notice `current` stands for the period with this version: the next one names it and is one higher.
    error NotSuccessor(uint64 pool, uint32 period, bytes32 current, uint32 currentVersion);
    error StatementEmpty();
    error WindowOutOfRange(uint40 window, uint40 least, uint40 most);
    error DisputeWindowOpen(bytes32 id, uint40 until);
    error DisputeWindowClosed(bytes32 id, uint40 until);
    /// @notice 90 days after its window a statement is settled no more; a new version can be.
    error StatementExpired(bytes32 id, uint40 until);
    error OpenDisputes(bytes32 id, uint32 disputes);
    /// @notice A dispute was dismissed just now: the debtor has time to withdraw.
    error DismissalWaits(bytes32 id, uint40 until);
    /// @notice Somebody asks to see the lines (showLines).
    error LinesNotShown(bytes32 id);
    error AlreadyShown(bytes32 id);
    error AlreadyObjected(bytes32 id);
    error NotALine(bytes32 statement, bytes32 line);
    error NotAParty(uint24 department, uint24 debtor, uint24 creditor);
    /// @notice A department with a stake in the line, or the one that runs the pool.
    error NotArbiter(uint24 department);
    error DisputeNotOpen(bytes32 id);
    error LinesDiffer(bytes32 statement, uint256 given, uint32 lines);
    /// @notice The lines given come to this root, not to the committed one.
    error LineRootDiffers(bytes32 statement, bytes32 found);
    /// @notice So many departments stand in the lines (counted no further than one too many).
    error MembersDiffer(bytes32 statement, uint256 found, uint32 members);
    error DebitsDiffer(bytes32 statement, uint256 found, uint128 debits);
    error NoWeight(uint128 cost);
    error LengthsDiffer(uint256 weights, uint256 ties);

    // What the ledger answers when asked about an officer, passed through; declared so that clients can name it.

    error NotInOffice(address signer);
    error RoleMissing(address signer, uint16 has, uint16 needs);
    error WrongDepartment(address signer, uint24 has, uint24 needs);
    error SignerRepeated(address signer);
    error DepartmentNotActive(uint24 department, uint8 standing);
    error PausedUntil(uint40 until);

    /// @notice Set the totals of a department's account; signed by a finance officer of the department. What only
    /// withdraws is stopped by no pause and by no suspension of the department.
    function setBudget(SetBudget calldata m, bytes calldata signature) external;

    /// @notice Commit a statement; signed by a finance officer of the department that runs the pool.
    function commitStatement(CommitStatement calldata m, bytes calldata signature) external returns (bytes32 id);

    /// @notice Ask for every line of a statement; signed by a finance or oversight officer of any department, which may
    /// be suspended. It stands, for later versions of the period too, until the lines are shown.
    function raiseObjection(Objection calldata m, CommitStatement calldata statement, bytes calldata signature) external;

    /// @notice Put every line of a statement on chain; signed by a finance or oversight officer of any department. From
    /// then on there is time to dispute them, the shortest window at least.
    function showLines(
        ShowLines calldata m,
        CommitStatement calldata statement,
        Line[] calldata lines,
        bytes calldata signature
    ) external;

    /// @notice Dispute a line, by proof; signed by a finance or oversight officer of its debtor or creditor,
    /// which may be suspended.
    function raiseDispute(
        Dispute calldata m,
        CommitStatement calldata statement,
        Line calldata line,
        bytes32[] calldata proof,
        bytes calldata signature
    ) external returns (bytes32 id);

    /// @notice End a dispute; signed by an officer of the department that raised it, or by a bureau officer of a
    /// department that neither runs the pool nor is a party of the line. `dispute` and `statement` are those of the
    /// version against which it was raised, also when a later one stands.
    function closeDispute(
        CloseDispute calldata m,
        Dispute calldata dispute,
        CommitStatement calldata statement,
        Line calldata line,
        bytes calldata signature
    ) external;

    /// @notice Settle; signed by two people of the department that runs the pool..
    /// @param lines Every one, as committed: count, root, members and debits must all agree
    /// @param finance By a finance officer
    /// @param oversight By an oversight officer, another one
    function finalise(
        Finalise calldata m,
        CommitStatement calldata statement,
        Line[] calldata lines,
        bytes calldata finance,
        bytes calldata oversight
    ) external;

    /// @notice A department's account in a pool.
    function account(uint64 pool, uint24 department) external view returns (Account memory);

    /// @notice Totals of a pool and the accounts of some of its members, in one call.
    function accounts(uint64 pool, uint24[] calldata departments)
        external
        view
        returns (Totals memory totals, Account[] memory found);

    /// @notice What the chain keeps of a statement; state 0 where there is none.
    function statementStatus(bytes32 id) external view returns (StatementStatus memory);

    /// @notice The statement that stands for a period, and its status.
    function currentStatement(uint64 pool, uint32 period)
        external
        view
        returns (bytes32 id, StatementStatus memory);

    /// @notice Split a cost by weights: whole fen by the floor, those left over to the largest remainders, equal
    /// remainders by the smaller tie. A member's check of its own share, at any node.
    /// @param ties One number a member, such as H(period || component || department); never its position
    function split(uint128 cost, uint64[] calldata weights, bytes32[] calldata ties)
        external
        pure
        returns (uint128[] memory shares);
}
