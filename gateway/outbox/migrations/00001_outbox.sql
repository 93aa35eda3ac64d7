-- +goose Up

-- One row for each idempotency key of an account.
CREATE TABLE outbox_entries (
    account     TEXT   NOT NULL,
    request_key TEXT   NOT NULL,
    digest      BYTEA  NOT NULL, -- of function and document
    function    TEXT   NOT NULL,
    document    BYTEA,           -- until the outcome is final
    state       TEXT   NOT NULL, -- proposed, endorsed, submitted, committed, failed
    txid        TEXT   NOT NULL, -- of the last attempt
    attempt     BIGINT NOT NULL, -- from 1
    holder      BYTEA,           -- certificate of a holder who signs elsewhere
    unsigned    BYTEA,           -- what such a holder has to sign next: for the next step,
    message     BYTEA,           -- and the bytes to sign
    envelope    BYTEA,           -- the signed transaction, until the outcome is final
    response    BYTEA,
    block       BIGINT NOT NULL,
    fault       TEXT   NOT NULL,
    code        TEXT   NOT NULL,
    created     BIGINT NOT NULL, -- microseconds since 1970
    updated     BIGINT NOT NULL,
    PRIMARY KEY (account, request_key)
);

CREATE INDEX outbox_entries_state ON outbox_entries (state, updated);

-- Every transaction id that an entry has had, so that each of them still finds it.
CREATE TABLE outbox_attempts (
    txid        TEXT   NOT NULL PRIMARY KEY,
    account     TEXT   NOT NULL,
    request_key TEXT   NOT NULL
);

CREATE INDEX outbox_attempts_entry ON outbox_attempts (account, request_key);

-- One row: what names of resources are derived from.
CREATE TABLE outbox_secret (
    id     BIGINT NOT NULL PRIMARY KEY,
    secret BYTEA  NOT NULL
);
