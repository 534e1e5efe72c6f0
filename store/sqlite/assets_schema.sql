-- The asset records, version 1.
BEGIN IMMEDIATE;

PRAGMA application_id = 0x45787064; -- "Expd"
PRAGMA user_version = 1;

-- Files of ComfyUI's input folder. `ours`: we wrote it.
CREATE TABLE blobs (
  place      TEXT    PRIMARY KEY,
  size_bytes INTEGER NOT NULL,
  mtime_ns   INTEGER NOT NULL,
  hash       TEXT,
  ours       INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX blobs_by_hash ON blobs (hash) WHERE hash IS NOT NULL;

-- Records over them. `tags` is JSON.
CREATE TABLE assets (
  id           TEXT    PRIMARY KEY,
  principal    TEXT    NOT NULL,
  trusted      INTEGER NOT NULL,
  place        TEXT    NOT NULL REFERENCES blobs (place),
  content_type TEXT    NOT NULL,
  file_path    TEXT    NOT NULL,
  created_at_s REAL    NOT NULL,
  used_at_s    REAL    NOT NULL,
  expires_at_s REAL,
  tags         TEXT    NOT NULL
) WITHOUT ROWID;
CREATE INDEX assets_by_place ON assets (place, principal);
CREATE INDEX assets_by_name ON assets (principal, file_path, used_at_s);
CREATE INDEX assets_by_end ON assets (expires_at_s) WHERE expires_at_s IS NOT NULL;
CREATE INDEX assets_by_use ON assets (used_at_s) WHERE expires_at_s IS NULL;

-- Which jobs need which assets; `asset_id` may be an output's.
CREATE TABLE holds (
  asset_id  TEXT NOT NULL,
  job_id    TEXT NOT NULL,
  held_at_s REAL NOT NULL,
  PRIMARY KEY (asset_id, job_id)
) WITHOUT ROWID;
CREATE INDEX holds_by_job ON holds (job_id);

CREATE TABLE upload_keys (
  principal    TEXT NOT NULL,
  key          TEXT NOT NULL,
  claimed_at_s REAL NOT NULL,
  PRIMARY KEY (principal, key)
) WITHOUT ROWID;
CREATE INDEX upload_keys_by_age ON upload_keys (claimed_at_s);

-- What is known of outputs of jobs besides what the jobs say.
CREATE TABLE output_notes (
  id         TEXT    PRIMARY KEY,
  job_id     TEXT    NOT NULL,
  hash       TEXT,
  size_bytes INTEGER NOT NULL,
  mtime_ns   INTEGER NOT NULL,
  deleted    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX output_notes_by_job ON output_notes (job_id);

COMMIT;
