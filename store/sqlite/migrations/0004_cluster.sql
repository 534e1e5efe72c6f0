-- Version 4: which instances may run a job, and where it was submitted (jobs move between this file and a shared queue).
BEGIN IMMEDIATE;

PRAGMA user_version = 4;

ALTER TABLE jobs ADD COLUMN pool TEXT NOT NULL DEFAULT 'default';
ALTER TABLE jobs ADD COLUMN origin TEXT;

COMMIT;
