-- Every statement of the webhooks' outbox; what all databases of ours have in common is in queries.sql.

-- name: write_nothing_new
UPDATE progress SET position = position
-- name: cursor
SELECT position FROM progress
-- name: set_cursor
UPDATE progress SET position = :position
-- name: add
INSERT INTO deliveries (
  id, job_id, event_type, event_number, url, place, origin, signer, body, status, created_at_s, next_try_at_s
)
SELECT
  :id, :job_id, :event_type, :event_number, :url, :place, :origin, :signer, :body, 'pending', :at_s,
  CASE WHEN EXISTS (SELECT 1 FROM deliveries WHERE job_id = :job_id AND url = :url AND status = 'pending')
    THEN NULL ELSE :at_s END
WHERE :origin <> 'job' OR NOT EXISTS (SELECT 1 FROM gone WHERE job_id = :job_id AND url = :url)
ON CONFLICT (id) DO NOTHING
-- name: places
WITH RECURSIVE places (place) AS (
  SELECT (SELECT MIN(place) FROM deliveries WHERE next_try_at_s IS NOT NULL)
  UNION ALL
  SELECT (SELECT MIN(d.place) FROM deliveries AS d WHERE d.next_try_at_s IS NOT NULL AND d.place > places.place)
  FROM places WHERE places.place IS NOT NULL
)
SELECT place FROM places WHERE place IS NOT NULL
-- name: due_of_place
SELECT seq, id, next_try_at_s FROM deliveries
WHERE place = :place AND next_try_at_s IS NOT NULL AND next_try_at_s <= :now_s
ORDER BY next_try_at_s, seq LIMIT :limit
-- name: delivery
SELECT * FROM deliveries WHERE id = :id
-- name: note_attempt
INSERT INTO attempts (delivery, number, at_s, duration_s, code, error)
VALUES (:seq, :number, :at_s, :duration_s, :code, :error)
-- name: forget_attempts
DELETE FROM attempts WHERE delivery = :seq AND number <= :number
-- name: attempts
SELECT * FROM attempts WHERE delivery = :seq ORDER BY number
-- name: settle
UPDATE deliveries SET
  status = :status, attempts = :number, tries = tries + 1, next_try_at_s = :next_try_at_s,
  finished_at_s = CASE WHEN :status = 'pending' THEN NULL ELSE :ended_at_s END, last_code = :code, last_error = :error
WHERE seq = :seq
-- name: release_lane
UPDATE deliveries SET next_try_at_s = :now_s
WHERE next_try_at_s IS NULL AND seq = (
  SELECT MIN(seq) FROM deliveries WHERE job_id = :job_id AND url = :url AND status = 'pending'
)
-- name: note_gone
INSERT INTO gone (job_id, url, at_s) VALUES (:job_id, :url, :at_s) ON CONFLICT (job_id, url) DO NOTHING
-- name: fail_lane
UPDATE deliveries SET status = 'failed', next_try_at_s = NULL, finished_at_s = :at_s, last_error = :error
WHERE job_id = :job_id AND url = :url AND origin = 'job' AND status = 'pending'
-- name: page
SELECT seq, id, job_id, event_type, event_number, url, place, origin, signer, '' AS body, status, created_at_s, attempts, tries,
  next_try_at_s, finished_at_s, last_code, last_error
FROM deliveries
WHERE seq < :before
  AND (:status IS NULL OR status = :status)
  AND (:job_id IS NULL OR job_id = :job_id)
  AND (:event_type IS NULL OR event_type = :event_type)
  AND (:place IS NULL OR place = :place OR place LIKE :place_prefix ESCAPE '\')
ORDER BY seq DESC LIMIT :limit
-- name: page_of_job
SELECT seq, id, job_id, event_type, event_number, url, place, origin, signer, '' AS body, status, created_at_s, attempts, tries,
  next_try_at_s, finished_at_s, last_code, last_error
FROM deliveries
WHERE job_id = :job_id AND seq < :before
  AND (:status IS NULL OR status = :status)
  AND (:event_type IS NULL OR event_type = :event_type)
  AND (:place IS NULL OR place = :place OR place LIKE :place_prefix ESCAPE '\')
ORDER BY seq DESC LIMIT :limit
-- name: replay
UPDATE deliveries SET status = 'pending', tries = 0, next_try_at_s = :now_s, finished_at_s = NULL WHERE seq = :seq
-- name: replay_all
UPDATE deliveries SET status = 'pending', tries = 0, next_try_at_s = :now_s, finished_at_s = NULL
WHERE status <> 'pending'
  AND (:status IS NULL OR status = :status)
  AND (:job_id IS NULL OR job_id = :job_id)
  AND (:event_type IS NULL OR event_type = :event_type)
  AND (:place IS NULL OR place = :place OR place LIKE :place_prefix ESCAPE '\')
-- name: prune_old
DELETE FROM deliveries WHERE seq IN (
  SELECT seq FROM deliveries WHERE status = :status AND finished_at_s IS NOT NULL AND finished_at_s < :before_s LIMIT :limit
)
-- name: count_over
SELECT COUNT(*) AS over FROM deliveries WHERE status <> 'pending'
-- name: prune_oldest
DELETE FROM deliveries WHERE seq IN (
  SELECT seq FROM deliveries WHERE status <> 'pending' ORDER BY seq LIMIT :limit
)
-- name: forget_gone
DELETE FROM gone WHERE at_s < :before_s
-- name: not_later
UPDATE deliveries SET next_try_at_s = :latest_s WHERE next_try_at_s > :latest_s
