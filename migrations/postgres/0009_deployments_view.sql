-- Deployments for people with SQL tools, with names instead of numbers. Where the platform does not say when one began, created_at
-- is as early as it was seen: nothing to count a duration from.
CREATE VIEW deployment_runs AS
SELECT s.name AS source, p.native_id AS project, p.name AS project_name,
       coalesce(d.deployment_text, d.deployment_key::text) AS deployment, e.text AS environment,
       d.flags & 1 = 1 AS is_production, status_word(d.status) AS status, n.text AS native_status, b.text AS branch,
       coalesce(d.run_text, d.run_key::text) AS run, encode(d.sha, 'hex') AS sha, d.url, d.created_at, d.finished_at,
       CASE WHEN d.flags & 4 = 4 THEN extract(epoch FROM d.finished_at - d.created_at) END AS duration_seconds
FROM deployments d
JOIN projects p ON p.id = d.project_id
JOIN sources s ON s.id = p.source_id
LEFT JOIN words e ON e.id = d.environment_id
LEFT JOIN words n ON n.id = d.native_id
LEFT JOIN words b ON b.id = d.branch_id;
