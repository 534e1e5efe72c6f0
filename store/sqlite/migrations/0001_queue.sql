-- Version 1 of the queue's database. Times are seconds since the epoch, durations seconds, JSON columns are text.
BEGIN IMMEDIATE;

PRAGMA application_id = 0x45787064; -- "Expd"
PRAGMA user_version = 1;

CREATE TABLE jobs (
  seq           INTEGER PRIMARY KEY AUTOINCREMENT, -- order of arrival, never used twice
  id            TEXT    NOT NULL UNIQUE,
  principal     TEXT    NOT NULL,
  trusted       INTEGER NOT NULL,
  priority      INTEGER NOT NULL,
  source        TEXT    NOT NULL,
  status        TEXT    NOT NULL,
  created_at_s  REAL    NOT NULL,
  queued_at_s   REAL    NOT NULL,
  number        REAL    NOT NULL,
  start_tag     REAL    NOT NULL,
  score         REAL    NOT NULL,
  estimated_s   REAL    NOT NULL,
  signature     TEXT    NOT NULL,
  client_id     TEXT,
  metadata      TEXT    NOT NULL,
  node_count    INTEGER NOT NULL,
  prompt_length INTEGER NOT NULL,
  needs_secret  INTEGER NOT NULL,
  held          INTEGER NOT NULL,
  cached        INTEGER NOT NULL,
  started_at_s  REAL,
  finished_at_s REAL, -- set exactly when the status is a terminal one
  outputs       TEXT    NOT NULL,
  cause         TEXT,
  error         TEXT
);

-- The queue itself: what `claim` takes from, and all that a place in it needs. Constant columns of an index are there
-- because SQLite looks up every row whose condition the index does not hold.
CREATE INDEX jobs_line ON jobs (score, number, seq, estimated_s, queued_at_s, status, held)
WHERE status = 'queued' AND held = 0;
-- The depth of the queue, however many jobs have ended.
CREATE INDEX jobs_unfinished ON jobs (principal, priority, status, estimated_s, finished_at_s)
WHERE finished_at_s IS NULL;
-- Pages.
CREATE INDEX jobs_by_status ON jobs (status, seq);
CREATE INDEX jobs_by_principal ON jobs (principal, status, seq);

-- Apart from the jobs, because lists and polls never need it.
CREATE TABLE payloads (
  job_seq      INTEGER PRIMARY KEY REFERENCES jobs (seq),
  prompt_json  TEXT NOT NULL,
  extra_json   TEXT NOT NULL,
  outputs_json TEXT NOT NULL
);

CREATE TABLE attempts (
  job_seq       INTEGER NOT NULL REFERENCES jobs (seq),
  number        INTEGER NOT NULL,
  started_at_s  REAL    NOT NULL,
  boot_id       TEXT    NOT NULL,
  finished_at_s REAL,
  outcome       TEXT,
  cause         TEXT,
  last_node_id  TEXT,
  PRIMARY KEY (job_seq, number)
) WITHOUT ROWID;

-- One row: the virtual time, and the ordering policy that the stored scores were computed by.
CREATE TABLE ordering (
  only_row     INTEGER PRIMARY KEY CHECK (only_row = 1),
  virtual_time REAL NOT NULL,
  policy       TEXT NOT NULL
);
INSERT INTO ordering (only_row, virtual_time, policy) VALUES (1, 0.0, '');

CREATE TABLE finish_tags (
  principal TEXT    NOT NULL,
  priority  INTEGER NOT NULL,
  finish    REAL    NOT NULL,
  PRIMARY KEY (principal, priority)
) WITHOUT ROWID;
CREATE INDEX finish_tags_by_finish ON finish_tags (finish);

-- Learned run times; the signature '' stands for all runs.
CREATE TABLE estimates (
  signature TEXT PRIMARY KEY,
  mean_s    REAL NOT NULL
) WITHOUT ROWID;

COMMIT;
