-- +goose Up

-- What is lost stays, in case it is found again, while what comes in its stead has the same place.
DROP INDEX content_items_place;
CREATE UNIQUE INDEX content_items_place ON content_items (datanet, contribution, commitment) WHERE contribution <> '' AND commitment <> '' AND state <> 'lost';
CREATE INDEX content_items_verified ON content_items (verified);
