-- +goose Up

-- Who acts through this gateway no more.
CREATE TABLE identity_retired (
    enrolment TEXT   PRIMARY KEY,
    operator  TEXT   NOT NULL, -- the account that decided it
    at        BIGINT NOT NULL
);

-- +goose Down
DROP TABLE identity_retired;
