-- What platforms marked as deployed, each in the state in which it was told last. deployment_key is the platform's id where
-- that is a number; else deployment_text is the id and deployment_key a number made from it; so with run_key and run_text, the
-- run that it came from. status as of pipelines. flags: 1 production, 2 the platform said whether it is, 4 it said when it began.
CREATE TABLE deployments (
    project_id      INTEGER NOT NULL,
    deployment_key  INTEGER NOT NULL,
    flags           INTEGER NOT NULL,
    status          INTEGER NOT NULL,
    environment_id  INTEGER NOT NULL,
    branch_id       INTEGER NOT NULL,
    native_id       INTEGER NOT NULL,
    run_key         INTEGER,
    created_at      INTEGER NOT NULL,
    finished_at     INTEGER,
    updated_at      INTEGER NOT NULL,
    sha             BLOB,
    deployment_text TEXT,
    run_text        TEXT,
    url             TEXT,
    PRIMARY KEY (project_id, deployment_key)
) WITHOUT ROWID;
CREATE INDEX deployments_by_time ON deployments (project_id, created_at) WHERE flags & 1 = 1;
