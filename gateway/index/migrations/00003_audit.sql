-- What audits ask of blocks, accounts and credits.

-- +goose Up
ALTER TABLE blocks ADD COLUMN data_hash BYTEA;      -- with number and hash of the block before, it has the hash of the block
ALTER TABLE blocks ADD COLUMN transactions BIGINT;  -- how many, valid or not
ALTER TABLE blocks ADD COLUMN clock BIGINT;         -- the latest time of a valid proposal up to here, in microseconds since 1970
CREATE INDEX blocks_clock ON blocks (clock);

-- How often a function met a verdict in a span of blocks, so that a year is counted without reading it.
CREATE TABLE activity (
    span BIGINT NOT NULL,
    function TEXT NOT NULL,
    code TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (span, function, code)
);

-- The roles that an account's certificates have shown, and between which transactions.
CREATE TABLE shown_roles (
    account TEXT NOT NULL,
    roles TEXT NOT NULL,
    began BIGINT NOT NULL,
    latest BIGINT NOT NULL,
    PRIMARY KEY (account, roles)
);

-- Where all credits stand, in micro-credits, after each block that moved some.
CREATE TABLE supply (
    block BIGINT PRIMARY KEY,
    issued BIGINT NOT NULL,
    redeemed BIGINT NOT NULL,
    balances BIGINT NOT NULL,
    credits BIGINT NOT NULL,
    escrow BIGINT NOT NULL,
    sessions BIGINT NOT NULL,
    claims BIGINT NOT NULL,
    payouts BIGINT NOT NULL,
    unreadable BIGINT NOT NULL -- values that no rule writes, counted as nothing
);

-- Why an entry breaks the separation of duties, as far as its own value tells.
ALTER TABLE entries ADD COLUMN breach TEXT;
CREATE INDEX entries_breach ON entries (created, key) WHERE breach IS NOT NULL;
