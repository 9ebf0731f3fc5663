-- Jobs took more room than all else of their runs. Their keys and times stand in job_cells from now on, instead of in
-- job_keys and job_times, which runs from before have. For each job: a byte that says which of its times follow (1 created,
-- 2 started, 4 finished, 8 duration, 16 queued), then the key and those times as LEB128 numbers, signed ones zigzag. The key
-- is XOR that of the job before it; created is what is more than that of the job before it, tenths of a second from the
-- beginning of the day; started and finished are as in job_times; of duration and queued stands what is more than finished and
-- started say.
ALTER TABLE pipelines ADD COLUMN job_cells bytea;

-- Keys and times of a run's jobs, whichever way they are kept; as in job_keys and job_times.
CREATE FUNCTION job_times(keys bigint[], times int[], cells bytea,
                          OUT place int, OUT job_key bigint, OUT created int, OUT started int, OUT finished int,
                          OUT duration int, OUT queued int)
RETURNS SETOF record LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    at      int := 0;
    day     bigint := 0;
    present int;
    told    bigint[];
    n       bigint;
    shift   int;
    part    int;
BEGIN
    IF cells IS NULL THEN
        RETURN QUERY SELECT i, keys[i], times[i * 5 - 4], times[i * 5 - 3], times[i * 5 - 2], times[i * 5 - 1], times[i * 5]
                     FROM generate_subscripts(keys, 1) AS i;
        RETURN;
    END IF;
    place := 0;
    job_key := 0;
    WHILE at < length(cells) LOOP
        present := get_byte(cells, at);
        at := at + 1;
        told := ARRAY[NULL, NULL, NULL, NULL, NULL, NULL];
        FOR field IN 1 .. 6 LOOP
            -- The key is always there.
            CONTINUE WHEN field > 1 AND (present >> (field - 2)) & 1 = 0;
            n := 0;
            shift := 0;
            LOOP
                part := get_byte(cells, at);
                at := at + 1;
                n := n | ((part & 127)::bigint << shift);
                shift := shift + 7;
                EXIT WHEN part < 128;
            END LOOP;
            told[field] := ((n >> 1) & 9223372036854775807) # -(n & 1);
        END LOOP;
        place := place + 1;
        job_key := job_key # told[1];
        day := day + coalesce(told[2], 0);
        created := CASE WHEN told[2] IS NOT NULL THEN day END;
        started := told[3];
        finished := told[4];
        duration := told[5] + coalesce(told[4], 0) * 100;
        queued := told[6] + coalesce(told[3], 0) * 100;
        RETURN NEXT;
    END LOOP;
END $$;

CREATE OR REPLACE VIEW jobs AS
SELECT r.project_id, r.run_key, r.attempt, r.day, j.job_key, r.job_kinds[j.place] AS kind_id,
       r.job_reasons[j.place] AS reason_id, r.job_texts[j.place] AS job_text,
       r.day::timestamp AT TIME ZONE 'UTC' + j.created * interval '0.1 second' AS created_at,
       r.day::timestamp AT TIME ZONE 'UTC' + (coalesce(j.created, 0) + j.started) * interval '0.1 second' AS started_at,
       r.day::timestamp AT TIME ZONE 'UTC'
           + (coalesce(j.created, 0) + coalesce(j.started, 0) + j.finished) * interval '0.1 second' AS finished_at,
       j.duration AS duration_ms, j.queued AS queued_ms
FROM pipelines r
CROSS JOIN LATERAL job_times(r.job_keys, r.job_times, r.job_cells) AS j;
