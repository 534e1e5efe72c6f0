-- What the backup command asks, of the database and of the copy. "-- name: x" opens the statement called x.

-- name: begin
BEGIN DEFERRED
-- name: identity
SELECT (SELECT application_id FROM pragma_application_id) AS application_id,
       (SELECT user_version FROM pragma_user_version) AS user_version
-- name: counts
SELECT (SELECT COUNT(*) FROM jobs) AS jobs, (SELECT COUNT(*) FROM attempts) AS attempts,
       (SELECT COUNT(*) FROM payloads) AS payloads
-- name: waiting
SELECT COUNT(*) FROM jobs WHERE finished_at_s IS NULL
-- name: one_file
PRAGMA journal_mode = DELETE
-- name: integrity
PRAGMA integrity_check
