-- The webhooks' outbox, version 1.
BEGIN IMMEDIATE;

PRAGMA application_id = 0x45787064; -- "Expd"
PRAGMA user_version = 1;

-- One message to one target about one event. `next_try_at_s` NULL: it is over, or waits for an earlier one of its lane, which is
-- its job and URL.
CREATE TABLE deliveries (
  seq           INTEGER PRIMARY KEY AUTOINCREMENT,
  id            TEXT    NOT NULL UNIQUE,
  job_id        TEXT    NOT NULL,
  event_type    TEXT    NOT NULL,
  event_number  INTEGER NOT NULL,
  url           TEXT    NOT NULL,
  place         TEXT    NOT NULL,
  origin        TEXT    NOT NULL,
  signer        TEXT    NOT NULL,
  status        TEXT    NOT NULL,
  created_at_s  REAL    NOT NULL,
  attempts      INTEGER NOT NULL DEFAULT 0,
  tries         INTEGER NOT NULL DEFAULT 0,
  next_try_at_s REAL,
  finished_at_s REAL,
  last_code     INTEGER,
  last_error    TEXT,
  body          TEXT    NOT NULL -- last: what is looked through does not read it
);
CREATE INDEX deliveries_due ON deliveries (place, next_try_at_s, seq) WHERE next_try_at_s IS NOT NULL;
CREATE INDEX deliveries_by_lane ON deliveries (job_id, url, seq);
CREATE INDEX deliveries_by_status ON deliveries (status, seq);
CREATE INDEX deliveries_by_place ON deliveries (place, seq);
CREATE INDEX deliveries_by_end ON deliveries (status, finished_at_s) WHERE finished_at_s IS NOT NULL;

CREATE TABLE attempts (
  delivery   INTEGER NOT NULL REFERENCES deliveries (seq) ON DELETE CASCADE,
  number     INTEGER NOT NULL,
  at_s       REAL    NOT NULL,
  duration_s REAL    NOT NULL,
  code       INTEGER,
  error      TEXT,
  PRIMARY KEY (delivery, number)
) WITHOUT ROWID;

-- Targets of jobs that answered 410: nobody writes there any more.
CREATE TABLE gone (
  job_id TEXT NOT NULL,
  url    TEXT NOT NULL,
  at_s   REAL NOT NULL,
  PRIMARY KEY (job_id, url)
) WITHOUT ROWID;

-- Up to which position the event log was read.
CREATE TABLE progress (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  position INTEGER NOT NULL
);
INSERT INTO progress (one, position) VALUES (1, 0);

COMMIT;
