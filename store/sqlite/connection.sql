-- Settings of every connection.
-- synchronous FULL: in WAL mode, NORMAL would keep a commit through a crash of the process but may lose the last ones
-- with the power; an accepted job must survive both. fullfsync is what makes a sync one on macOS, and nothing elsewhere.
PRAGMA synchronous = FULL;
PRAGMA fullfsync = 1;
PRAGMA checkpoint_fullfsync = 1;
PRAGMA foreign_keys = ON;
PRAGMA temp_store = MEMORY;
PRAGMA journal_size_limit = 67108864;
