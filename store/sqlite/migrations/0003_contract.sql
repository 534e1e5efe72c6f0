-- Version 3: the event log, labels, batches, webhooks.
BEGIN IMMEDIATE;

PRAGMA user_version = 3;

ALTER TABLE jobs ADD COLUMN batch_id TEXT;
ALTER TABLE jobs ADD COLUMN batch_index INTEGER;
ALTER TABLE jobs ADD COLUMN webhook TEXT; -- JSON: the address, then the types of events

-- The jobs of a batch.
CREATE INDEX jobs_by_batch ON jobs (batch_id, seq, status) WHERE batch_id IS NOT NULL;

-- Metadata whose value is a text, to find jobs by.
CREATE TABLE labels (
  key     TEXT    NOT NULL,
  value   TEXT    NOT NULL,
  job_seq INTEGER NOT NULL REFERENCES jobs (seq),
  PRIMARY KEY (key, value, job_seq)
) WITHOUT ROWID;
INSERT OR IGNORE INTO labels (key, value, job_seq)
SELECT json_each.key, json_each.value, jobs.seq FROM jobs, json_each(jobs.metadata)
WHERE jobs.metadata <> '{}' AND json_each.type = 'text';

-- What was submitted together. `counted` is how many jobs it began with; `about` is what else is told of it, as JSON.
CREATE TABLE batches (
  id           TEXT PRIMARY KEY,
  principal    TEXT    NOT NULL,
  created_at_s REAL    NOT NULL,
  counted      INTEGER NOT NULL,
  about        TEXT    NOT NULL
) WITHOUT ROWID;

-- The event log. `position` is the place in the stream of all events, never used twice (the next is beyond all that is here
-- and all that was forgotten); `number` counts a job's own events from 1; `facts` is JSON. Every index ends with the position.
CREATE TABLE events (
  position  INTEGER PRIMARY KEY,
  job_seq   INTEGER NOT NULL REFERENCES jobs (seq),
  number    INTEGER NOT NULL,
  type      TEXT    NOT NULL,
  at_s      REAL    NOT NULL,
  principal TEXT    NOT NULL,
  batch_id  TEXT,
  facts     TEXT    NOT NULL
);
CREATE INDEX events_by_job ON events (job_seq);
CREATE INDEX events_by_principal ON events (principal);
CREATE INDEX events_by_batch ON events (batch_id) WHERE batch_id IS NOT NULL;
-- Which job made the output that is known under this id as an asset.
CREATE TABLE output_assets (
  id      TEXT    PRIMARY KEY,
  job_seq INTEGER NOT NULL REFERENCES jobs (seq)
) WITHOUT ROWID;
CREATE INDEX output_assets_by_job ON output_assets (job_seq);
INSERT OR IGNORE INTO output_assets (id, job_seq)
SELECT made.value, jobs.seq FROM jobs, json_each(output_asset_ids(jobs.id, jobs.outputs)) AS made
WHERE jobs.outputs <> '[]';

-- The largest position of an event that was forgotten: who has read less far has missed something.
ALTER TABLE ordering ADD COLUMN forgotten_position INTEGER NOT NULL DEFAULT 0;

COMMIT;
