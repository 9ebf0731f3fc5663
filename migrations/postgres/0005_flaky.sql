-- What is flaky is summed over many days: in this order, and without looking up a row for each.
CREATE INDEX flakes_by_job ON flakes (project_id, lane_id, job_id, day, branch_id, wasted_ms);
DROP INDEX flakes_by_day;
