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
-- name: check_jobs
PRAGMA quick_check('jobs')
-- name: check_attempts
PRAGMA quick_check('attempts')

-- name: job
SELECT * FROM jobs WHERE id = :id
-- name: payload
SELECT prompt_json, extra_json, outputs_json FROM payloads WHERE job_seq = (SELECT seq FROM jobs WHERE id = :id)
-- name: attempts
SELECT * FROM attempts WHERE job_seq = :job_seq ORDER BY number

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
-- name: waiting_before
SELECT COUNT(*), TOTAL(estimated_s) FROM jobs INDEXED BY jobs_line
WHERE status = 'queued' AND held = 0 AND (score, number, seq) < (:score, :number, :seq)
-- name: work_on_machine_s
SELECT TOTAL(estimated_s) FROM jobs WHERE status IN ('running', 'canceling')
-- name: mean_run_s
SELECT mean_s FROM estimates WHERE signature = :signature

-- name: add_job
INSERT INTO jobs (
  id, principal, trusted, priority, source, status, created_at_s, queued_at_s, number, start_tag, score, estimated_s,
  signature, client_id, metadata, node_count, prompt_length, needs_secret, held, cached, started_at_s, finished_at_s,
  outputs, cause, error
) VALUES (
  :id, :principal, :trusted, :priority, :source, :status, :created_at_s, :queued_at_s, :number, :start_tag, :score,
  :estimated_s, :signature, :client_id, :metadata, :node_count, :prompt_length, :needs_secret, :held, :cached,
  :started_at_s, :finished_at_s, :outputs, :cause, :error
)
-- name: add_payload
INSERT INTO payloads (job_seq, prompt_json, extra_json, outputs_json)
VALUES (:job_seq, :prompt_json, :extra_json, :outputs_json)
-- name: save_job
UPDATE jobs SET
  priority = :priority, status = :status, queued_at_s = :queued_at_s, start_tag = :start_tag, score = :score,
  held = :held, cached = :cached, started_at_s = :started_at_s, finished_at_s = :finished_at_s, outputs = :outputs,
  cause = :cause, error = :error
WHERE seq = :seq
-- name: save_attempt
INSERT OR REPLACE INTO attempts (job_seq, number, started_at_s, boot_id, finished_at_s, outcome, cause, last_node_id)
VALUES (:job_seq, :number, :started_at_s, :boot_id, :finished_at_s, :outcome, :cause, :last_node_id)

-- name: line
SELECT * FROM jobs INDEXED BY jobs_line WHERE status = 'queued' AND held = 0 ORDER BY score, number, seq LIMIT :limit
-- name: queued
SELECT * FROM jobs WHERE status = 'queued' ORDER BY score, number, seq
-- name: on_machine
SELECT * FROM jobs WHERE status IN ('running', 'waiting', 'canceling') ORDER BY seq
-- name: any_unfinished
SELECT 1 FROM jobs WHERE finished_at_s IS NULL LIMIT 1

-- name: ordering
SELECT virtual_time, policy FROM ordering
-- name: set_policy
UPDATE ordering SET policy = :policy
-- name: set_virtual_time
UPDATE ordering SET virtual_time = :virtual_time
-- name: forget_finish_tags
DELETE FROM finish_tags WHERE finish <= :virtual_time
-- name: finish_tags
SELECT priority, finish FROM finish_tags WHERE principal = :principal
-- name: largest_finish_tag
SELECT MAX(finish) FROM finish_tags
-- name: set_finish_tag
INSERT OR REPLACE INTO finish_tags (principal, priority, finish) VALUES (:principal, :priority, :finish)
-- name: set_mean_run_s
INSERT OR REPLACE INTO estimates (signature, mean_s) VALUES (:signature, :mean_s)
