-- +goose Up

-- What this gateway has found of claims: the secret that drew the uses, "" when all were recomputed, and the table. An
-- objection's report is kept, which holds no text. secret is the ledger's id of it.
CREATE TABLE attesting_claims (
    host TEXT NOT NULL,
    id TEXT NOT NULL,
    secret TEXT NOT NULL,
    report BYTEA,
    PRIMARY KEY (host, id)
);
CREATE INDEX attesting_claims_secret ON attesting_claims (secret);

-- Pages of pay-out tables that were worked out here, by their digest, until the claim is paid.
CREATE TABLE attesting_pages (
    digest BYTEA NOT NULL,
    host TEXT NOT NULL,
    id TEXT NOT NULL,
    page BYTEA NOT NULL,
    PRIMARY KEY (digest, host, id)
);
