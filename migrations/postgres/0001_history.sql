-- History. Durations are milliseconds; instants are timestamptz. Texts that repeat stand once in words; 0 is no text.
-- For people with SQL tools: the views runs, jobs, job_runs and pipeline_stats, which have names instead of numbers.

CREATE TABLE words (
    id   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text NOT NULL UNIQUE
);

CREATE TABLE people (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    login      text NOT NULL,
    avatar_url text NOT NULL
);
-- The three together may be longer than an index entry.
CREATE UNIQUE INDEX people_by_all ON people (md5(name), md5(login), md5(avatar_url));

CREATE TABLE sources (
    id       int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name     text NOT NULL UNIQUE,
    platform text NOT NULL
);

-- Projects that left, or were renamed where the name is the key, stay with gone_at set.
CREATE TABLE projects (
    id               int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id        int NOT NULL REFERENCES sources (id),
    native_id        text NOT NULL,
    name             text NOT NULL,
    description      text,
    visibility       text,
    avatar_url       text,
    url              text,
    default_branch   text,
    archived         boolean NOT NULL DEFAULT false,
    ci_disabled      boolean NOT NULL DEFAULT false,
    last_activity_at timestamptz,
    described        boolean NOT NULL DEFAULT false,
    gone_at          timestamptz,
    known_from       timestamptz,
    known_to         timestamptz
);
CREATE UNIQUE INDEX projects_by_key ON projects (source_id, md5(native_id));

CREATE TABLE project_names (
    project_id int NOT NULL REFERENCES projects (id),
    name       text NOT NULL,
    until      timestamptz NOT NULL
);
CREATE UNIQUE INDEX project_names_by_name ON project_names (project_id, md5(name));

-- Every attempt of every run, by the month in which it was created. status: 0 queued, 1 running, 2 success, 3 warning,
-- 4 failed, 5 canceled, 6 skipped, 7 manual, 8 unknown. flags: 1 the platform counts attempts, 2 read in full, 4 a later
-- attempt is there, 8 has jobs. run_key is the platform's id where that is a number; else run_text is the id and run_key a
-- number made from it. Jobs stand in arrays, as a row for each would take more room than all else: job_times has for each job
-- created, started, finished (tenths of a second, the first that is known from the beginning
-- of the day, each further one from the one before it), duration and queued (milliseconds).
CREATE TABLE pipelines (
    run_key      bigint NOT NULL,
    number       bigint,
    created_at   timestamptz,
    started_at   timestamptz,
    finished_at  timestamptz,
    updated_at   timestamptz,
    committed_at timestamptz,
    project_id   int NOT NULL,
    day          date NOT NULL,
    native_id    int NOT NULL,
    event_id     int NOT NULL,
    branch_id    int NOT NULL,
    lane_id      int NOT NULL,
    workflow_id  int NOT NULL,
    author_id    int NOT NULL,
    url_id       int NOT NULL,
    failure_id   int,
    commit_key   int,
    duration_ms  int,
    queued_ms    int,
    expected_ms  int,
    attempt      smallint NOT NULL,
    flags        smallint NOT NULL,
    status       smallint NOT NULL,
    sha          bytea,
    message      text,
    run_text     text,
    job_keys     bigint[],
    job_kinds    int[],
    job_times    int[],
    job_reasons  int[],
    job_texts    text[]
) PARTITION BY RANGE (day);
CREATE INDEX pipelines_by_day ON pipelines (project_id, day);
CREATE INDEX pipelines_by_commit ON pipelines (commit_key);

-- What a platform dates before 2000 or after 2100; for all other months there are partitions of their own.
CREATE TABLE pipelines_undated PARTITION OF pipelines DEFAULT;
CREATE UNIQUE INDEX pipelines_undated_by_key ON pipelines_undated (run_key, project_id, attempt);

CREATE FUNCTION make_pipelines_partition(month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition text := 'pipelines_' || to_char(month, 'YYYY_MM');
BEGIN
    IF to_regclass(partition) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF pipelines FOR VALUES FROM (%L) TO (%L)',
                       partition, month, (month + interval '1 month')::date);
        -- A run's attempt is there once. An index over all partitions would have to hold the day as well.
        EXECUTE format('CREATE UNIQUE INDEX %I ON %I (run_key, project_id, attempt)', partition || '_by_key', partition);
    END IF;
END $$;

CREATE FUNCTION drop_pipelines_before(before date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition text;
BEGIN
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'pipelines'::regclass AND c.relname ~ '^pipelines_\d{4}_\d{2}$'
          AND (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month')::date <= before
    LOOP
        EXECUTE format('DROP TABLE %I', partition);
    END LOOP;
    DELETE FROM pipelines WHERE day < before;
END $$;

CREATE TABLE job_kinds (
    id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name_id       int NOT NULL,
    stage_id      int NOT NULL,
    native_id     int NOT NULL,
    url_id        int NOT NULL,
    status        smallint NOT NULL,
    allow_failure boolean NOT NULL,
    UNIQUE (name_id, stage_id, native_id, url_id, status, allow_failure)
);

-- What a reason comes to without numbers, hashes, paths, times and quoted values.
CREATE TABLE reasons (
    normal_id int NOT NULL,
    reason_id int NOT NULL,
    PRIMARY KEY (normal_id, reason_id)
);

-- Which projects had runs on a branch, unless that has a common name.
CREATE TABLE branches (
    branch_id  int NOT NULL,
    project_id int NOT NULL,
    PRIMARY KEY (branch_id, project_id)
);

CREATE TABLE lanes (
    project_id  int NOT NULL,
    lane_id     int NOT NULL,
    workflow_id int NOT NULL,
    PRIMARY KEY (project_id, lane_id)
);

-- Daily statistics, kept up with every write; kind 0 runs, 1 jobs, 2 a whole source, 3 verdicts in their order. level: blocks
-- of 1, 8, 64 days (kind 3: of 16), counted from 1970-01-01. The bytes are described in crates/history/src/roll.
CREATE TABLE daily_statistics (
    scope int NOT NULL,
    block int NOT NULL,
    kind  smallint NOT NULL,
    level smallint NOT NULL,
    data  bytea NOT NULL,
    PRIMARY KEY (kind, level, scope, block)
);

-- Commits on which a lane (job_id 0), or a job of it, was red and green.
CREATE TABLE flakes (
    project_id int NOT NULL,
    lane_id    int NOT NULL,
    commit_key int NOT NULL,
    job_id     int NOT NULL,
    branch_id  int NOT NULL,
    day        date NOT NULL,
    red        int NOT NULL,
    green      int NOT NULL,
    wasted_ms  bigint NOT NULL,
    run_key    bigint NOT NULL,
    PRIMARY KEY (project_id, lane_id, commit_key, job_id)
);
CREATE INDEX flakes_by_day ON flakes (project_id, day);

-- Where the head of a branch was since when.
CREATE TABLE branch_snapshots (
    project_id   int NOT NULL,
    branch_id    int NOT NULL,
    seen_at      timestamptz NOT NULL,
    committed_at timestamptz,
    author_id    int NOT NULL,
    url_id       int NOT NULL,
    is_default   boolean NOT NULL,
    is_protected boolean,
    sha          bytea,
    message      text,
    PRIMARY KEY (project_id, branch_id, seen_at)
);

CREATE TABLE users (
    id      int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    text NOT NULL UNIQUE,
    seen_at timestamptz NOT NULL
);

CREATE TABLE user_preferences (
    user_id int NOT NULL REFERENCES users (id),
    name    text NOT NULL,
    value   text NOT NULL,
    PRIMARY KEY (user_id, name)
);

-- As they came. outcome: null nothing yet, else 'applied' or 'ignored' with the reason.
CREATE TABLE webhook_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text NOT NULL,
    delivery    text NOT NULL,
    kind        text NOT NULL,
    headers     text NOT NULL,
    body        bytea NOT NULL,
    received_at timestamptz NOT NULL,
    outcome     text,
    reason      text,
    UNIQUE (source, delivery)
);
CREATE INDEX webhook_events_by_time ON webhook_events (received_at);

-- What a process wants to know after a restart: rate limits, entity tags.
CREATE TABLE notes (
    name  text PRIMARY KEY,
    value text NOT NULL
);

CREATE FUNCTION status_word(status smallint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce((ARRAY['queued', 'running', 'success', 'warning', 'failed', 'canceled', 'skipped', 'manual'])[status + 1], 'unknown')
$$;

CREATE VIEW runs AS
SELECT s.name AS source, s.platform, p.native_id AS project, p.name AS project_name,
       coalesce(r.run_text, r.run_key::text) AS run, r.attempt, r.number,
       status_word(r.status) AS status, n.text AS native_status, w.text AS workflow, b.text AS branch, e.text AS event,
       a.name AS author, encode(r.sha, 'hex') AS sha, r.message, f.text AS failure,
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

CREATE VIEW jobs AS
SELECT r.project_id, r.run_key, r.attempt, r.day, j.job_key, j.kind_id,
       r.job_reasons[j.place] AS reason_id, r.job_texts[j.place] AS job_text,
       r.day::timestamp AT TIME ZONE 'UTC' + r.job_times[j.place * 5 - 4] * interval '0.1 second' AS created_at,
       r.day::timestamp AT TIME ZONE 'UTC'
           + (coalesce(r.job_times[j.place * 5 - 4], 0) + r.job_times[j.place * 5 - 3]) * interval '0.1 second' AS started_at,
       r.day::timestamp AT TIME ZONE 'UTC'
           + (coalesce(r.job_times[j.place * 5 - 4], 0) + coalesce(r.job_times[j.place * 5 - 3], 0)
              + r.job_times[j.place * 5 - 2]) * interval '0.1 second' AS finished_at,
       r.job_times[j.place * 5 - 1] AS duration_ms, r.job_times[j.place * 5] AS queued_ms
FROM pipelines r
CROSS JOIN LATERAL unnest(r.job_keys, r.job_kinds) WITH ORDINALITY AS j (job_key, kind_id, place);

CREATE VIEW job_runs AS
SELECT s.name AS source, p.native_id AS project, coalesce(r.run_text, r.run_key::text) AS run, j.attempt,
       coalesce(j.job_text, j.job_key::text) AS job, n.text AS name, g.text AS stage, status_word(k.status) AS status,
       x.text AS failure_reason, j.created_at, j.started_at, j.finished_at,
       j.duration_ms / 1000.0 AS duration_seconds, j.queued_ms / 1000.0 AS queued_seconds
FROM jobs j
JOIN pipelines r ON r.project_id = j.project_id AND r.run_key = j.run_key AND r.attempt = j.attempt AND r.day = j.day
JOIN projects p ON p.id = j.project_id
JOIN sources s ON s.id = p.source_id
JOIN job_kinds k ON k.id = j.kind_id
LEFT JOIN words n ON n.id = k.name_id
LEFT JOIN words g ON g.id = k.stage_id
LEFT JOIN words x ON x.id = j.reason_id;

-- First attempts, by project and branch. Durations in seconds, of those that came to a verdict.
CREATE VIEW pipeline_stats AS
SELECT s.name AS source, p.native_id AS project, p.name AS project_name, b.text AS branch, t.total, t.successful, t.failed,
       t.canceled, t.average_duration, t.least_duration, t.greatest_duration, t.last_run
FROM (
    SELECT r.project_id, r.branch_id,
           count(*) AS total,
           count(*) FILTER (WHERE r.status IN (2, 3)) AS successful,
           count(*) FILTER (WHERE r.status = 4) AS failed,
           count(*) FILTER (WHERE r.status = 5) AS canceled,
           avg(r.duration_ms / 1000.0) FILTER (WHERE r.status IN (2, 3, 4)) AS average_duration,
           min(r.duration_ms / 1000.0) FILTER (WHERE r.status IN (2, 3, 4)) AS least_duration,
           max(r.duration_ms / 1000.0) FILTER (WHERE r.status IN (2, 3, 4)) AS greatest_duration,
           max(coalesce(r.created_at, r.started_at, r.updated_at, r.finished_at)) AS last_run
    FROM pipelines r
    WHERE r.attempt = 1
    GROUP BY r.project_id, r.branch_id
) t
JOIN projects p ON p.id = t.project_id
JOIN sources s ON s.id = p.source_id
LEFT JOIN words b ON b.id = t.branch_id;
