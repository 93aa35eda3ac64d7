-- +goose Up

-- Settlements of this gateway's hosts whose uses were archived. about is what attestors are told first; kept is 1 while texts and nonces are there: sealed
-- in a file of their own, by a key that is destroyed when they are forgotten. Times are milliseconds since 1970.
CREATE TABLE archive_settlements (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    about BYTEA NOT NULL,
    kept BIGINT NOT NULL,
    created BIGINT NOT NULL
);

-- The leaves of each session that a settlement has added, 135 bytes each, from a place on; kept for good. offsets are
-- where each answer's evidence begins in the settlement's file and where the last one ends, 8 bytes each; NULL once it is
-- forgotten, and of sessions that disclose nothing.
CREATE TABLE archive_leaves (
    settlement TEXT NOT NULL REFERENCES archive_settlements (id),
    session BYTEA NOT NULL,
    first BIGINT NOT NULL,
    leaves BYTEA NOT NULL,
    offsets BYTEA,
    PRIMARY KEY (session, first, settlement)
);
CREATE INDEX archive_leaves_settlement ON archive_leaves (settlement);

-- At which rate an attestor has said that it draws of a settlement, in ppm, and how many texts it was shown.
CREATE TABLE archive_attestors (
    settlement TEXT NOT NULL,
    msp TEXT NOT NULL,
    rate BIGINT NOT NULL,
    shown BIGINT NOT NULL,
    PRIMARY KEY (settlement, msp)
);

-- Which uses of a session it was shown, a bit for each.
CREATE TABLE archive_shown (
    settlement TEXT NOT NULL,
    msp TEXT NOT NULL,
    session BYTEA NOT NULL,
    places BYTEA NOT NULL,
    PRIMARY KEY (settlement, msp, session)
);
