-- A place is block · 2²⁰ + position of the transaction in the block. Keys are bytes, since they hold U+0000.

-- +goose Up
CREATE TABLE index_about (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- The last row is the checkpoint: it is written in the transaction that writes all that its block brought.
CREATE TABLE blocks (
    number BIGINT PRIMARY KEY,
    hash BYTEA NOT NULL,
    digest BYTEA NOT NULL
);

CREATE TABLE transactions (
    place BIGINT PRIMARY KEY,
    txid TEXT NOT NULL,
    time BIGINT NOT NULL, -- microseconds since 1970 as the client's proposal says, 0 if it says nothing
    msp TEXT NOT NULL,
    account TEXT,
    function TEXT NOT NULL,
    event TEXT NOT NULL,
    payload BYTEA,
    code TEXT NOT NULL
);
CREATE INDEX transactions_txid ON transactions (txid);
CREATE INDEX transactions_time ON transactions (time, place);
CREATE INDEX transactions_msp ON transactions (msp, place);
CREATE INDEX transactions_account ON transactions (account, place) WHERE account IS NOT NULL;
CREATE INDEX transactions_function ON transactions (function, place);

-- Every value that a key ever had; NULL is its deletion.
CREATE TABLE versions (
    key BYTEA NOT NULL,
    place BIGINT NOT NULL,
    value BYTEA,
    PRIMARY KEY (key, place)
);
CREATE INDEX versions_place ON versions (place);

-- The current state by what it is listed by. The value is that of versions (key, changed).
CREATE TABLE entries (
    key BYTEA PRIMARY KEY,
    kind TEXT NOT NULL,
    datanet TEXT,
    organisation TEXT,
    account TEXT,
    state TEXT,
    parent BYTEA,            -- of an organisation's slot: the key of what it is a slot of
    number BIGINT NOT NULL,  -- of a slot: the round it is for; of its parent: the round that runs
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL
);
CREATE INDEX entries_kind ON entries (kind, created, key);
CREATE INDEX entries_state ON entries (kind, state, created, key) WHERE state IS NOT NULL;
CREATE INDEX entries_datanet ON entries (kind, datanet, created, key) WHERE datanet IS NOT NULL;
CREATE INDEX entries_datanet_state ON entries (kind, datanet, state, created, key) WHERE datanet IS NOT NULL;
CREATE INDEX entries_organisation ON entries (kind, organisation, created, key) WHERE organisation IS NOT NULL;
CREATE INDEX entries_account ON entries (kind, account, created, key) WHERE account IS NOT NULL;
CREATE INDEX entries_parent ON entries (parent, organisation) WHERE parent IS NOT NULL;

-- What came to an account and what left it, also when the credit is spent by now.
CREATE TABLE movements (
    account TEXT NOT NULL,
    place BIGINT NOT NULL,
    key BYTEA NOT NULL,
    PRIMARY KEY (account, place, key)
);
