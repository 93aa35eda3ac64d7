-- +goose Up
CREATE INDEX example_number ON example (number);
