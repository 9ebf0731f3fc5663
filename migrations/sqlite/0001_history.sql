-- History. Times are milliseconds since 1970 in UTC, days are counted from 1970-01-01, durations are milliseconds.
-- Texts that repeat stand once in words; 0 is no text. For people with SQL tools: the views runs, job_runs and
-- pipeline_stats, which have names instead of numbers.

CREATE TABLE words (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);

CREATE TABLE people (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    login      TEXT NOT NULL,
    avatar_url TEXT NOT NULL,
    UNIQUE (name, login, avatar_url)
);

CREATE TABLE sources (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    platform TEXT NOT NULL
);

-- Projects that left, or were renamed where the name is the key, stay with gone_at set.
CREATE TABLE projects (
    id               INTEGER PRIMARY KEY,
    source_id        INTEGER NOT NULL REFERENCES sources (id),
    native_id        TEXT NOT NULL,
    name             TEXT NOT NULL,
    description      TEXT,
    visibility       TEXT,
    avatar_url       TEXT,
    url              TEXT,
    default_branch   TEXT,
    archived         INTEGER NOT NULL DEFAULT 0,
    ci_disabled      INTEGER NOT NULL DEFAULT 0,
    last_activity_at INTEGER,
    described        INTEGER NOT NULL DEFAULT 0,
    gone_at          INTEGER,
    known_from       INTEGER,
    known_to         INTEGER,
    UNIQUE (source_id, native_id)
);

CREATE TABLE project_names (
    project_id INTEGER NOT NULL REFERENCES projects (id),
    name       TEXT NOT NULL,
    until      INTEGER NOT NULL,
    PRIMARY KEY (project_id, name)
) WITHOUT ROWID;

-- Every attempt of every run. status: 0 queued, 1 running, 2 success, 3 warning, 4 failed, 5 canceled, 6 skipped,
-- 7 manual, 8 unknown. flags: 1 the platform counts attempts, 2 read in full, 4 a later attempt is there, 8 has jobs.
-- run_key is the platform's id where that is a number; else run_text is the id and run_key a number made from it.
CREATE TABLE pipelines (
    id           INTEGER PRIMARY KEY,
    project_id   INTEGER NOT NULL,
    run_key      INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    day          INTEGER NOT NULL,
    flags        INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    native_id    INTEGER NOT NULL,
    event_id     INTEGER NOT NULL,
    branch_id    INTEGER NOT NULL,
    lane_id      INTEGER NOT NULL,
    workflow_id  INTEGER NOT NULL,
    author_id    INTEGER NOT NULL,
    url_id       INTEGER NOT NULL,
    failure_id   INTEGER NOT NULL,
    commit_key   INTEGER NOT NULL,
    number       INTEGER,
    created_at   INTEGER,
    started_at   INTEGER,
    finished_at  INTEGER,
    updated_at   INTEGER,
    committed_at INTEGER,
    duration_ms  INTEGER,
    queued_ms    INTEGER,
    expected_ms  INTEGER,
    sha          BLOB,
    message      TEXT,
    run_text     TEXT
);
CREATE UNIQUE INDEX pipelines_by_key ON pipelines (project_id, run_key, attempt);
CREATE INDEX pipelines_by_day ON pipelines (project_id, day);
CREATE INDEX pipelines_by_commit ON pipelines (commit_key) WHERE commit_key <> 0;

CREATE TABLE job_kinds (
    id            INTEGER PRIMARY KEY,
    name_id       INTEGER NOT NULL,
    stage_id      INTEGER NOT NULL,
    native_id     INTEGER NOT NULL,
    url_id        INTEGER NOT NULL,
    status        INTEGER NOT NULL,
    allow_failure INTEGER NOT NULL,
    UNIQUE (name_id, stage_id, native_id, url_id, status, allow_failure)
);

-- Times are tenths of a second: the first that is known from the beginning of the run's day, each further one from the one
-- before it.
CREATE TABLE jobs (
    pipeline_id INTEGER NOT NULL,
    job_key     INTEGER NOT NULL,
    kind_id     INTEGER NOT NULL,
    reason_id   INTEGER NOT NULL,
    created     INTEGER,
    started     INTEGER,
    finished    INTEGER,
    duration_ms INTEGER,
    queued_ms   INTEGER,
    job_text    TEXT,
    PRIMARY KEY (pipeline_id, job_key)
) WITHOUT ROWID;

-- What a reason comes to without numbers, hashes, paths, times and quoted values.
CREATE TABLE reasons (
    normal_id INTEGER NOT NULL,
    reason_id INTEGER NOT NULL,
    PRIMARY KEY (normal_id, reason_id)
) WITHOUT ROWID;

-- Which projects had runs on a branch, unless that has a common name.
CREATE TABLE branches (
    branch_id  INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    PRIMARY KEY (branch_id, project_id)
) WITHOUT ROWID;

CREATE TABLE lanes (
    project_id  INTEGER NOT NULL,
    lane_id     INTEGER NOT NULL,
    workflow_id INTEGER NOT NULL,
    PRIMARY KEY (project_id, lane_id)
) WITHOUT ROWID;

-- Daily statistics, kept up with every write; kind 0 runs, 1 jobs, 2 a whole source, 3 verdicts in their order. level: blocks
-- of 1, 8, 64 days (kind 3: of 16), counted from 1970-01-01; scope: a project, or a source. All four are one number, so that
-- rows stand in the order in which they are read. The blob is described in crates/history/src/roll.
CREATE TABLE daily_statistics (
    id    INTEGER PRIMARY KEY,
    data  BLOB NOT NULL,
    kind  INTEGER AS (id >> 60) VIRTUAL,
    level INTEGER AS (id >> 56 & 15) VIRTUAL,
    scope INTEGER AS (id >> 24 & 4294967295) VIRTUAL,
    block INTEGER AS ((id & 16777215) - 8388608) VIRTUAL
);

-- Commits on which a lane (job_id 0), or a job of it, was red and green.
CREATE TABLE flakes (
    project_id INTEGER NOT NULL,
    lane_id    INTEGER NOT NULL,
    commit_key INTEGER NOT NULL,
    job_id     INTEGER NOT NULL,
    branch_id  INTEGER NOT NULL,
    day        INTEGER NOT NULL,
    red        INTEGER NOT NULL,
    green      INTEGER NOT NULL,
    wasted_ms  INTEGER NOT NULL,
    run_key    INTEGER NOT NULL,
    PRIMARY KEY (project_id, lane_id, commit_key, job_id)
) WITHOUT ROWID;
CREATE INDEX flakes_by_day ON flakes (project_id, day);

-- Where the head of a branch was since when.
CREATE TABLE branch_snapshots (
    project_id   INTEGER NOT NULL,
    branch_id    INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    sha          BLOB,
    author_id    INTEGER NOT NULL,
    message      TEXT,
    committed_at INTEGER,
    is_default   INTEGER NOT NULL,
    is_protected INTEGER,
    url_id       INTEGER NOT NULL,
    PRIMARY KEY (project_id, branch_id, seen_at)
) WITHOUT ROWID;

CREATE TABLE users (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    seen_at INTEGER NOT NULL
);

CREATE TABLE user_preferences (
    user_id INTEGER NOT NULL REFERENCES users (id),
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
) WITHOUT ROWID;

-- As they came. outcome: null nothing yet, else 'applied' or 'ignored' with the reason.
CREATE TABLE webhook_events (
    id          INTEGER PRIMARY KEY,
    source      TEXT NOT NULL,
    delivery    TEXT NOT NULL,
    kind        TEXT NOT NULL,
    headers     TEXT NOT NULL,
    body        BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    outcome     TEXT,
    reason      TEXT,
    UNIQUE (source, delivery)
);
CREATE INDEX webhook_events_by_time ON webhook_events (received_at);

-- What a process wants to know after a restart: rate limits, entity tags.
CREATE TABLE notes (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE VIEW runs AS
SELECT s.name AS source, s.platform, p.native_id AS project, p.name AS project_name,
       coalesce(r.run_text, CAST(r.run_key AS TEXT)) AS run, r.attempt, r.number,
       CASE r.status WHEN 0 THEN 'queued' WHEN 1 THEN 'running' WHEN 2 THEN 'success' WHEN 3 THEN 'warning' WHEN 4 THEN 'failed'
                     WHEN 5 THEN 'canceled' WHEN 6 THEN 'skipped' WHEN 7 THEN 'manual' ELSE 'unknown' END AS status,
       n.text AS native_status, w.text AS workflow, b.text AS branch, e.text AS event, a.name AS author,
       lower(hex(r.sha)) AS sha, r.message, f.text AS failure,
       r.created_at, r.started_at, r.finished_at, r.updated_at,
       r.duration_ms / 1000.0 AS duration_seconds, r.queued_ms / 1000.0 AS queued_seconds
FROM pipelines r
JOIN projects p ON p.id = r.project_id
JOIN sources s ON s.id = p.source_id
LEFT JOIN words n ON n.id = r.native_id
LEFT JOIN words w ON w.id = r.workflow_id
LEFT JOIN words b ON b.id = r.branch_id
LEFT JOIN words e ON e.id = r.event_id
LEFT JOIN words f ON f.id = r.failure_id
LEFT JOIN people a ON a.id = r.author_id;

CREATE VIEW job_runs AS
SELECT s.name AS source, p.native_id AS project, coalesce(r.run_text, CAST(r.run_key AS TEXT)) AS run, r.attempt,
       coalesce(j.job_text, CAST(j.job_key AS TEXT)) AS job, n.text AS name, g.text AS stage,
       CASE k.status WHEN 0 THEN 'queued' WHEN 1 THEN 'running' WHEN 2 THEN 'success' WHEN 3 THEN 'warning' WHEN 4 THEN 'failed'
                     WHEN 5 THEN 'canceled' WHEN 6 THEN 'skipped' WHEN 7 THEN 'manual' ELSE 'unknown' END AS status,
       x.text AS failure_reason,
       r.day * 86400000 + j.created * 100 AS created_at,
       r.day * 86400000 + (coalesce(j.created, 0) + j.started) * 100 AS started_at,
       r.day * 86400000 + (coalesce(j.created, 0) + coalesce(j.started, 0) + j.finished) * 100 AS finished_at,
       j.duration_ms / 1000.0 AS duration_seconds, j.queued_ms / 1000.0 AS queued_seconds
FROM jobs j
JOIN pipelines r ON r.id = j.pipeline_id
JOIN projects p ON p.id = r.project_id
JOIN sources s ON s.id = p.source_id
JOIN job_kinds k ON k.id = j.kind_id
LEFT JOIN words n ON n.id = k.name_id
LEFT JOIN words g ON g.id = k.stage_id
LEFT JOIN words x ON x.id = j.reason_id;

-- First attempts, by project and branch. Durations in seconds, of those that came to a verdict.
CREATE VIEW pipeline_stats AS
SELECT s.name AS source, p.native_id AS project, p.name AS project_name, b.text AS branch,
       count(*) AS total,
       sum(r.status IN (2, 3)) AS successful,
       sum(r.status = 4) AS failed,
       sum(r.status = 5) AS canceled,
       avg(CASE WHEN r.status IN (2, 3, 4) THEN r.duration_ms / 1000.0 END) AS average_duration,
       min(CASE WHEN r.status IN (2, 3, 4) THEN r.duration_ms / 1000.0 END) AS least_duration,
       max(CASE WHEN r.status IN (2, 3, 4) THEN r.duration_ms / 1000.0 END) AS greatest_duration,
       max(coalesce(r.created_at, r.started_at, r.updated_at, r.finished_at)) AS last_run
FROM pipelines r
JOIN projects p ON p.id = r.project_id
JOIN sources s ON s.id = p.source_id
LEFT JOIN words b ON b.id = r.branch_id
WHERE r.attempt = 1
GROUP BY r.project_id, r.branch_id;
