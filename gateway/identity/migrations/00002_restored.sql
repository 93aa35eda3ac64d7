-- +goose Up

-- 1: the key was taken back from a backup and ended then, since it may have been revoked in between.
ALTER TABLE identity_keys ADD COLUMN restored BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE identity_keys DROP COLUMN restored;
