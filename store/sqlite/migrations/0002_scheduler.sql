-- Version 2: retries, holds, time limits, pause, histories, request keys, pruned jobs.
BEGIN IMMEDIATE;

PRAGMA user_version = 2;

ALTER TABLE jobs ADD COLUMN not_before_s REAL;
ALTER TABLE jobs ADD COLUMN expires_at_s REAL;
ALTER TABLE jobs ADD COLUMN max_attempts INTEGER;
ALTER TABLE jobs ADD COLUMN models TEXT NOT NULL DEFAULT '[]';
ALTER TABLE jobs ADD COLUMN forgiven INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN message TEXT; -- JSON
ALTER TABLE ordering ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE estimates ADD COLUMN learned_at_s REAL NOT NULL DEFAULT 0;

-- Jobs that wait and whose process died twice while they ran stand behind all others (jobs/ordering.py, SUSPECT_SCORE).
UPDATE jobs SET score = 1e15
WHERE status = 'queued' AND (SELECT COUNT(*) FROM attempts WHERE job_seq = seq AND cause = 'PROCESS_DIED') >= 2;

-- The line and its depth are held in memory; the file is asked for what is unfinished once, at the start.
DROP INDEX jobs_line;
DROP INDEX jobs_unfinished;
CREATE INDEX jobs_unfinished ON jobs (seq) WHERE finished_at_s IS NULL;
-- What is beyond retention, and what ended last. Only ended jobs.
CREATE INDEX jobs_by_end ON jobs (status, finished_at_s, seq, started_at_s) WHERE finished_at_s IS NOT NULL;
-- Dead letters by their cause, and what is held.
CREATE INDEX jobs_by_cause ON jobs (cause, status, seq) WHERE cause IS NOT NULL;
CREATE INDEX jobs_held ON jobs (seq) WHERE held = 1;
-- Which learned run times are forgotten first.
CREATE INDEX estimates_by_age ON estimates (learned_at_s, signature);

-- What ComfyUI's history holds of a job besides its prompt; apart from the jobs, because lists and polls never need it.
CREATE TABLE histories (
  job_seq      INTEGER PRIMARY KEY REFERENCES jobs (seq),
  history_json TEXT NOT NULL -- empty: the job is shown, from what its own row says
);
INSERT INTO histories (job_seq, history_json) SELECT seq, '' FROM jobs WHERE finished_at_s IS NOT NULL;

-- Request keys: which job a repeated request is, also after that job was pruned. The fingerprint is a digest of the body.
CREATE TABLE request_keys (
  principal    TEXT    NOT NULL,
  key          TEXT    NOT NULL,
  fingerprint  TEXT    NOT NULL,
  job_id       TEXT    NOT NULL,
  created_at_s REAL    NOT NULL,
  PRIMARY KEY (principal, key)
) WITHOUT ROWID;
CREATE INDEX request_keys_by_age ON request_keys (created_at_s);

-- Jobs that were pruned, by 64 bits of a digest of their id.
CREATE TABLE pruned (
  mark        INTEGER PRIMARY KEY,
  pruned_at_s REAL NOT NULL
);
CREATE INDEX pruned_by_age ON pruned (pruned_at_s);

COMMIT;
