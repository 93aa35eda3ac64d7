-- +goose Up
CREATE TABLE identity_keys (
    id      TEXT   PRIMARY KEY,
    hash    BYTEA  NOT NULL, -- SHA-256 of the secret
    account TEXT   NOT NULL,
    label   TEXT   NOT NULL,
    roles   TEXT   NOT NULL, -- of the account when the key was made
    scopes  TEXT   NOT NULL,
    created BIGINT NOT NULL, -- seconds since 1970, as all times here
    expires BIGINT NOT NULL,
    revoked BIGINT NOT NULL, -- 0: not revoked
    budget  BIGINT NOT NULL, -- micro-credits; -1: none is set
    spent   BIGINT NOT NULL
);
CREATE INDEX identity_keys_account ON identity_keys (account, created, id);

CREATE TABLE identity_invitations (
    id        TEXT   PRIMARY KEY,
    hash      BYTEA  NOT NULL,
    roles     TEXT   NOT NULL,
    inviter   TEXT   NOT NULL,
    created   BIGINT NOT NULL,
    expires   BIGINT NOT NULL,
    revoked   BIGINT NOT NULL,
    used      BIGINT NOT NULL, -- 0: not used
    enrolment TEXT   NOT NULL  -- who used it
);

CREATE TABLE identity_enrolments (
    enrolment   TEXT   PRIMARY KEY,
    roles       TEXT   NOT NULL,
    public_key  BYTEA  NOT NULL, -- SHA-256 of its PKIX form
    certificate TEXT   NOT NULL, -- the latest one, PEM
    custody     BIGINT NOT NULL, -- 1: the gateway keeps the private key
    created     BIGINT NOT NULL
);

-- +goose Down
DROP TABLE identity_enrolments;
DROP TABLE identity_invitations;
DROP TABLE identity_keys;
