-- Every statement of the SQLite store. "-- name: x" opens the statement called x; it runs to the next name.
-- INDEXED BY where it matters: SQLite takes a status for rare, and would sort all that waits for each claim.

-- name: begin_write
BEGIN IMMEDIATE
-- name: begin_read
BEGIN DEFERRED
-- name: commit
COMMIT
-- name: rollback
ROLLBACK
-- name: savepoint
SAVEPOINT verb
-- name: release
RELEASE verb
-- name: rollback_to_savepoint
ROLLBACK TO verb

-- name: journal_wal
PRAGMA journal_mode = WAL
-- name: read_only
PRAGMA query_only = ON
-- name: identity
SELECT (SELECT application_id FROM pragma_application_id) AS application_id,
       (SELECT user_version FROM pragma_user_version) AS user_version,
       (SELECT COUNT(*) FROM sqlite_master) AS things
-- name: tables
SELECT name FROM sqlite_master WHERE type = 'table'
-- name: check_table
SELECT quick_check FROM pragma_quick_check(:name)
-- name: write_nothing_new
UPDATE ordering SET virtual_time = virtual_time

-- name: job
SELECT * FROM jobs WHERE id = :id
-- name: payload
SELECT prompt_json, extra_json, outputs_json FROM payloads WHERE job_seq = (SELECT seq FROM jobs WHERE id = :id)
-- name: attempts
SELECT * FROM attempts WHERE job_seq IN (SELECT value FROM json_each(:seqs)) ORDER BY job_seq, number
-- name: known_ids
SELECT id FROM jobs WHERE id IN (SELECT value FROM json_each(:ids))

-- name: newest
SELECT * FROM jobs WHERE seq < :before_seq ORDER BY seq DESC LIMIT :limit
-- name: newest_of_status
SELECT * FROM jobs INDEXED BY jobs_by_status
WHERE status = :status AND seq < :before_seq ORDER BY seq DESC LIMIT :limit
-- name: newest_of_principal_and_status
SELECT * FROM jobs INDEXED BY jobs_by_principal
WHERE principal = :principal AND status = :status AND seq < :before_seq ORDER BY seq DESC LIMIT :limit

-- name: depth
SELECT principal, priority, status, COUNT(*) AS jobs, TOTAL(estimated_s) AS work_s
FROM jobs WHERE finished_at_s IS NULL GROUP BY principal, priority, status ORDER BY principal, priority, status
-- name: oldest_queued_at_s
SELECT MIN(queued_at_s) FROM jobs INDEXED BY jobs_line WHERE status = 'queued' AND held = 0
-- name: mean_run_s
SELECT mean_s FROM estimates WHERE signature = :signature

-- name: unfinished
SELECT * FROM jobs WHERE finished_at_s IS NULL
-- name: last_seq
SELECT seq FROM sqlite_sequence WHERE name = 'jobs'
-- name: finish_tags
SELECT principal, priority, finish FROM finish_tags
-- name: ordering
SELECT virtual_time, policy FROM ordering
-- name: set_policy
UPDATE ordering SET policy = :policy

-- name: change
-- One row of the view `changes` (changes.sql); several are written as so many groups of values.
INSERT INTO changes VALUES
(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
