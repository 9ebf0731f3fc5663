-- Branches of a project, with how many attempts and the days between which they are.
DROP TABLE branches;
CREATE TABLE branches (
    branch_id  INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    runs       INTEGER NOT NULL,
    first_day  INTEGER NOT NULL,
    last_day   INTEGER NOT NULL,
    PRIMARY KEY (branch_id, project_id)
) WITHOUT ROWID;
INSERT INTO branches
SELECT branch_id, project_id, count(*), min(day), max(day) FROM pipelines WHERE branch_id <> 0 GROUP BY branch_id, project_id;

-- Branches that have statistics of their own: those with a hundred runs in their source, no more of which are counted above.
CREATE TABLE branches_apart (
    branch_id INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    PRIMARY KEY (branch_id, source_id)
) WITHOUT ROWID;
INSERT INTO branches_apart
SELECT b.branch_id, p.source_id FROM branches b JOIN projects p ON p.id = b.project_id
GROUP BY b.branch_id, p.source_id HAVING sum(b.runs) >= 100;

-- A run counts under its branch, if that has statistics of its own, else under 0 (which was all of them), and there is a kind 4:
-- what the verdicts of kind 3 come to, of the same blocks. Whoever opens the database counts anew.
DELETE FROM daily_statistics;
-- By another name, so that a process of the version before, which may still be at work, writes none of the old kind.
ALTER TABLE daily_statistics RENAME COLUMN data TO bytes;
