-- Every statement of the asset records; what all databases of ours have in common is in queries.sql.

-- name: write_nothing_new
UPDATE blobs SET ours = ours WHERE place IS NULL
-- name: save_blob
INSERT INTO blobs (place, size_bytes, mtime_ns, hash, ours) VALUES (:place, :size_bytes, :mtime_ns, :hash, :ours)
ON CONFLICT (place) DO UPDATE SET
  size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, hash = excluded.hash, ours = MAX(ours, excluded.ours)
-- name: same_asset
SELECT assets.id FROM assets
WHERE principal = :principal AND file_path = :file_path AND place = :place AND content_type = :content_type
-- name: save_asset
INSERT INTO assets (id, principal, trusted, place, content_type, file_path, created_at_s, used_at_s, expires_at_s, tags)
VALUES (:id, :principal, :trusted, :place, :content_type, :file_path, :created_at_s, :used_at_s, :expires_at_s, :tags)
-- name: use_again
UPDATE assets SET
  used_at_s = MAX(used_at_s, :used_at_s),
  expires_at_s = CASE WHEN :expires_at_s IS NULL THEN NULL ELSE MAX(expires_at_s, :expires_at_s) END
WHERE id = :id
-- name: found
SELECT assets.*, size_bytes, mtime_ns, hash, ours FROM assets JOIN blobs USING (place)
WHERE id IN (SELECT value FROM json_each(:ids))
-- name: by_hash
SELECT assets.*, size_bytes, mtime_ns, hash, ours FROM blobs JOIN assets USING (place)
WHERE hash = :hash AND principal = :principal ORDER BY used_at_s DESC, id LIMIT :limit
-- name: named
SELECT assets.*, size_bytes, mtime_ns, hash, ours
FROM (SELECT value AS name FROM json_each(:names)) AS asked CROSS JOIN assets JOIN blobs USING (place)
WHERE assets.principal = :principal AND assets.file_path = asked.name
ORDER BY assets.used_at_s, assets.id
-- name: any_asset
SELECT EXISTS (SELECT 1 FROM assets)
-- name: delete_asset
DELETE FROM assets WHERE id = :id
-- name: delete_holds
DELETE FROM holds WHERE asset_id = :id
-- name: orphans
SELECT * FROM blobs WHERE NOT EXISTS (SELECT 1 FROM assets WHERE assets.place = blobs.place) LIMIT :limit
-- name: forget_blobs
DELETE FROM blobs
WHERE place IN (SELECT value FROM json_each(:places)) AND NOT EXISTS (SELECT 1 FROM assets WHERE assets.place = blobs.place)
-- name: kept_places
SELECT DISTINCT place FROM assets WHERE place IN (SELECT value FROM json_each(:places))
-- name: due
SELECT assets.*, size_bytes, mtime_ns, hash, ours FROM assets JOIN blobs USING (place) WHERE expires_at_s <= :now_s
UNION ALL
SELECT assets.*, size_bytes, mtime_ns, hash, ours FROM assets JOIN blobs USING (place)
WHERE expires_at_s IS NULL AND used_at_s < :unused_since_s
LIMIT :limit
-- name: hold
INSERT INTO holds (asset_id, job_id, held_at_s) SELECT value, :job_id, :at_s FROM json_each(:ids) WHERE true
ON CONFLICT (asset_id, job_id) DO UPDATE SET held_at_s = excluded.held_at_s
-- name: note_use
UPDATE assets SET used_at_s = MAX(used_at_s, :at_s) WHERE id IN (SELECT value FROM json_each(:ids))
-- name: holds
SELECT job_id, held_at_s FROM holds WHERE asset_id = :id ORDER BY job_id LIMIT :limit
-- name: release_holds
DELETE FROM holds WHERE asset_id = :id AND job_id IN (SELECT value FROM json_each(:job_ids))
-- name: claim_key
INSERT INTO upload_keys (principal, key, claimed_at_s) VALUES (:principal, :key, :at_s)
ON CONFLICT (principal, key) DO UPDATE SET claimed_at_s = excluded.claimed_at_s WHERE claimed_at_s < :since_s
-- name: free_key
DELETE FROM upload_keys WHERE principal = :principal AND key = :key
-- name: forget_keys
DELETE FROM upload_keys WHERE claimed_at_s < :before_s
-- name: notes
SELECT * FROM output_notes WHERE id IN (SELECT value FROM json_each(:ids))
-- name: note
INSERT INTO output_notes (id, job_id, hash, size_bytes, mtime_ns, deleted)
VALUES (:id, :job_id, :hash, :size_bytes, :mtime_ns, :deleted)
ON CONFLICT (id) DO UPDATE SET
  hash = excluded.hash, size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, deleted = MAX(deleted, excluded.deleted)
-- name: jobs_named
SELECT job_id FROM holds WHERE job_id > :after UNION SELECT job_id FROM output_notes WHERE job_id > :after
ORDER BY job_id LIMIT :limit
-- name: forget_holds_of_jobs
DELETE FROM holds WHERE job_id IN (SELECT value FROM json_each(:job_ids))
-- name: forget_notes_of_jobs
DELETE FROM output_notes WHERE job_id IN (SELECT value FROM json_each(:job_ids))
