-- Runs that have not ended: after a start it is asked how they did.
CREATE INDEX pipelines_unfinished ON pipelines (project_id) WHERE status < 2;
