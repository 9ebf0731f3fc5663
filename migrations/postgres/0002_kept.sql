-- Values that a process keeps for the next one, of a form that it knows: answers for conditional requests.
CREATE TABLE kept (
    shelf text NOT NULL,
    name  text NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (shelf, name)
);
-- They are compressed already.
ALTER TABLE kept ALTER COLUMN value SET STORAGE EXTERNAL;
