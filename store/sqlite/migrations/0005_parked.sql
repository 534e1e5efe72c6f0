-- Version 5: jobs that wait for people off their machine, and how long their attempts did.
BEGIN IMMEDIATE;

PRAGMA user_version = 5;

ALTER TABLE jobs ADD COLUMN parked TEXT;
ALTER TABLE attempts ADD COLUMN parked_s REAL NOT NULL DEFAULT 0;

COMMIT;
