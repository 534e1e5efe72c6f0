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
-- name: maker
SELECT * FROM jobs WHERE seq = (SELECT job_seq FROM output_assets WHERE id = :asset_id)
-- name: payload
SELECT prompt_json, extra_json, outputs_json FROM payloads WHERE job_seq = (SELECT seq FROM jobs WHERE id = :id)
-- name: attempts
SELECT * FROM attempts WHERE job_seq IN (SELECT value FROM json_each(:seqs)) ORDER BY job_seq, number
-- name: known_ids
SELECT id, NULL AS mark FROM jobs WHERE id IN (SELECT value FROM json_each(:ids))
UNION ALL
SELECT NULL AS id, mark FROM pruned WHERE mark IN (SELECT value FROM json_each(:marks))
-- name: pruned
SELECT mark FROM pruned WHERE mark = :mark
-- name: request_keys
-- CROSS JOIN: from the few that are asked for to the many that there are.
SELECT found.principal, found.key, found.fingerprint, found.job_id, found.created_at_s
FROM json_each(:asked) AS asked CROSS JOIN request_keys AS found
WHERE found.principal = json_extract(asked.value, '$[0]') AND found.key = json_extract(asked.value, '$[1]')
-- name: request_keys_of
SELECT principal, key, fingerprint, job_id, created_at_s FROM request_keys
WHERE job_id IN (SELECT value FROM json_each(:ids))
-- name: newest
SELECT * FROM jobs WHERE seq < :before_seq AND (:held IS NULL OR held = :held) ORDER BY seq DESC LIMIT :limit
-- name: newest_of_status
SELECT * FROM jobs INDEXED BY jobs_by_status
WHERE status = :status AND seq < :before_seq AND (:held IS NULL OR held = :held) ORDER BY seq DESC LIMIT :limit
-- name: newest_of_principal_and_status
SELECT * FROM jobs INDEXED BY jobs_by_principal
WHERE principal = :principal AND status = :status AND seq < :before_seq AND (:held IS NULL OR held = :held)
ORDER BY seq DESC LIMIT :limit
-- name: newest_of_cause_and_status
SELECT * FROM jobs INDEXED BY jobs_by_cause
WHERE cause = :cause AND status = :status AND seq < :before_seq AND (:principal IS NULL OR principal = :principal)
  AND (:held IS NULL OR held = :held)
ORDER BY seq DESC LIMIT :limit
-- name: newest_held
SELECT * FROM jobs INDEXED BY jobs_held
WHERE held = 1 AND seq < :before_seq AND (:principal IS NULL OR principal = :principal) ORDER BY seq DESC LIMIT :limit

-- name: newest_of_batch
SELECT * FROM jobs INDEXED BY jobs_by_batch
WHERE batch_id = :batch_id AND seq < :before_seq
  AND (:held IS NULL OR held = :held) AND (:principal IS NULL OR principal = :principal)
  AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
  AND (:causes IS NULL OR cause IN (SELECT value FROM json_each(:causes)))
  AND NOT EXISTS (
    SELECT 1 FROM json_each(:labels) AS asked WHERE NOT EXISTS (
      SELECT 1 FROM labels
      WHERE key = json_extract(asked.value, '$[0]') AND value = json_extract(asked.value, '$[1]') AND job_seq = jobs.seq
    )
  )
ORDER BY seq DESC LIMIT :limit
-- name: newest_of_label
-- CROSS JOIN: from the jobs with the label, not from all jobs. :labels are the others that are wanted.
SELECT jobs.* FROM labels AS first CROSS JOIN jobs ON jobs.seq = first.job_seq
WHERE first.key = :key AND first.value = :value AND first.job_seq < :before_seq
  AND (:held IS NULL OR held = :held) AND (:principal IS NULL OR principal = :principal)
  AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
  AND (:causes IS NULL OR cause IN (SELECT value FROM json_each(:causes)))
  AND NOT EXISTS (
    SELECT 1 FROM json_each(:labels) AS asked WHERE NOT EXISTS (
      SELECT 1 FROM labels
      WHERE key = json_extract(asked.value, '$[0]') AND value = json_extract(asked.value, '$[1]') AND job_seq = jobs.seq
    )
  )
ORDER BY first.job_seq DESC LIMIT :limit
-- name: batch
SELECT * FROM batches WHERE id = :id
-- name: batch_statuses
SELECT status FROM jobs INDEXED BY jobs_by_batch WHERE batch_id = :id

-- name: ended_before
SELECT * FROM jobs INDEXED BY jobs_by_end
WHERE status = :status AND finished_at_s IS NOT NULL AND finished_at_s < :before_s
  AND (origin IS NULL OR origin NOT IN (SELECT value FROM json_each(:spared)))
ORDER BY finished_at_s, seq LIMIT :limit
-- name: newest_beyond
-- The first that is not among the :count that ended last in this status.
SELECT finished_at_s, seq FROM jobs INDEXED BY jobs_by_end
WHERE status = :status AND finished_at_s IS NOT NULL ORDER BY finished_at_s DESC, seq DESC LIMIT 1 OFFSET :count
-- name: ended_up_to
SELECT * FROM jobs INDEXED BY jobs_by_end
WHERE status = :status AND finished_at_s IS NOT NULL AND (finished_at_s, seq) <= (:finished_at_s, :seq)
  AND (origin IS NULL OR origin NOT IN (SELECT value FROM json_each(:spared)))
ORDER BY finished_at_s, seq LIMIT :limit
-- name: ended_last
SELECT * FROM jobs INDEXED BY jobs_by_end
WHERE status = :status AND finished_at_s IS NOT NULL
  AND EXISTS (SELECT 1 FROM histories WHERE job_seq = jobs.seq)
  AND (:home IS NULL OR origin IS NULL OR origin = :home)
ORDER BY finished_at_s DESC, seq DESC LIMIT :limit
-- name: made_files
SELECT DISTINCT json_extract(made.value, '$.folder'), json_extract(made.value, '$.subfolder'), json_extract(made.value, '$.name')
FROM jobs, json_each(jobs.outputs) AS made
WHERE jobs.seq > :after_seq AND jobs.seq <= :up_to_seq AND jobs.outputs <> '[]'
  AND json_extract(made.value, '$.name') IN (SELECT value FROM json_each(:names))
  AND jobs.id NOT IN (SELECT value FROM json_each(:but))
-- name: held_texts
SELECT DISTINCT part.atom
FROM payloads, json_tree(CASE WHEN json_valid(payloads.prompt_json) THEN payloads.prompt_json ELSE '{}' END) AS part
WHERE payloads.job_seq > :after_seq AND payloads.job_seq <= :up_to_seq AND part.type = 'text'
  AND part.atom IN (SELECT value FROM json_each(:texts))
  AND (SELECT id FROM jobs WHERE seq = payloads.job_seq) NOT IN (SELECT value FROM json_each(:but))
-- name: ended
SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at_s IS NOT NULL
-- name: finished
SELECT payloads.job_seq, prompt_json, extra_json, outputs_json, history_json
FROM payloads JOIN histories ON histories.job_seq = payloads.job_seq
WHERE payloads.job_seq IN (SELECT value FROM json_each(:seqs))
-- name: history
SELECT history_json FROM histories WHERE job_seq = (SELECT seq FROM jobs WHERE id = :id)

-- name: mean_run_s
SELECT mean_s FROM estimates WHERE signature = :signature

-- name: unfinished
SELECT * FROM jobs INDEXED BY jobs_unfinished WHERE finished_at_s IS NULL
-- name: last_seq
SELECT seq FROM sqlite_sequence WHERE name = 'jobs'
-- name: finish_tags
SELECT principal, priority, finish FROM finish_tags
-- name: ordering
SELECT virtual_time, policy, paused FROM ordering
-- name: last_position
SELECT MAX(COALESCE((SELECT MAX(position) FROM events), 0), forgotten_position) AS last, forgotten_position FROM ordering
-- name: last_number
SELECT number FROM events INDEXED BY events_by_job WHERE job_seq = :seq ORDER BY position DESC LIMIT 1
-- name: last_numbers
SELECT jobs.seq, events.number
FROM jobs INDEXED BY jobs_unfinished
JOIN events ON position = (SELECT MAX(position) FROM events WHERE job_seq = jobs.seq)
WHERE finished_at_s IS NULL
-- name: events
SELECT events.*, jobs.id AS job_id FROM events CROSS JOIN jobs ON jobs.seq = job_seq
WHERE position > :after ORDER BY position LIMIT :limit
-- name: events_of_job
SELECT events.*, jobs.id AS job_id FROM jobs CROSS JOIN events INDEXED BY events_by_job ON job_seq = jobs.seq
WHERE jobs.id = :job_id AND position > :after ORDER BY position LIMIT :limit
-- name: events_of_principal
SELECT events.*, jobs.id AS job_id FROM events INDEXED BY events_by_principal CROSS JOIN jobs ON jobs.seq = job_seq
WHERE events.principal = :principal AND position > :after ORDER BY position LIMIT :limit
-- name: events_of_batch
SELECT events.*, jobs.id AS job_id FROM events INDEXED BY events_by_batch CROSS JOIN jobs ON jobs.seq = job_seq
WHERE events.batch_id = :batch_id AND position > :after ORDER BY position LIMIT :limit
-- name: set_policy
UPDATE ordering SET policy = :policy

-- name: change
-- One row of the view `changes` (changes.sql); several are written as so many groups of values.
INSERT INTO changes VALUES
(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
 ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
 ?, ?, ?, ?, ?, ?, ?, ?, ?,
 ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
