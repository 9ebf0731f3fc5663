-- What platforms marked as deployed, each in the state in which it was told last. deployment_key is the platform's id where
-- that is a number; else deployment_text is the id and deployment_key a number made from it; so with run_key and run_text, the
-- run that it came from. status as of pipelines. flags: 1 production, 2 the platform said whether it is, 4 it said when it began.
CREATE TABLE deployments (
    project_id      int NOT NULL,
    flags           smallint NOT NULL,
    status          smallint NOT NULL,
    deployment_key  bigint NOT NULL,
    run_key         bigint,
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    updated_at      timestamptz NOT NULL,
    environment_id  int NOT NULL,
    branch_id       int NOT NULL,
    native_id       int NOT NULL,
    sha             bytea,
    deployment_text text,
    run_text        text,
    url             text,
    PRIMARY KEY (project_id, deployment_key)
);
CREATE INDEX deployments_by_time ON deployments (project_id, created_at) WHERE flags & 1 = 1;
