-- Values that a process keeps for the next one, of a form that it knows: answers for conditional requests.
CREATE TABLE kept (
    shelf TEXT NOT NULL,
    name  TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (shelf, name)
);
