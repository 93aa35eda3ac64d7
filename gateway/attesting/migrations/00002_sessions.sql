-- +goose Up

-- How far the leaves of sessions were found right: the tree over them by its peaks, 32 bytes each, their sum and the numbers
-- of their requests as ranges, first and last, 8 bytes each. over is when nothing more can be settled, Unix seconds.
CREATE TABLE attesting_sessions (
    session BYTEA NOT NULL PRIMARY KEY,
    size BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    peaks BYTEA NOT NULL,
    numbers BYTEA NOT NULL,
    over BIGINT NOT NULL
);
