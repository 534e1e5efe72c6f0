-- How the writer changes the file: it inserts the rows of a whole batch into the view `changes` with one statement, and
-- the triggers put each where it belongs. Why: every statement gives the interpreter away, and beside a busy event loop
-- it takes milliseconds to get it back. The view holds nothing; it and the triggers live in the connection alone.
-- A row speaks of a job (with a payload: a new one, and perhaps its request key), an attempt, the virtual time, a finish
-- tag, a learned mean, a history, an event, whether the queue is paused, a batch, a job to prune and what to forget (also of histories), or of some of these: of
-- the others the first column is NULL and the rest means nothing.

CREATE TEMP VIEW changes (
  seq, id, principal, trusted, priority, source, status, created_at_s, queued_at_s, number, start_tag, score,
  estimated_s, signature, client_id, metadata, node_count, prompt_length, needs_secret, held, cached, started_at_s,
  finished_at_s, outputs, cause, error, not_before_s, expires_at_s, max_attempts, models, forgiven,
  batch_id, batch_index, webhook, pool, origin, parked,
  prompt_json, extra_json, outputs_json,
  attempt_seq, attempt_number, attempt_started_at_s, attempt_boot_id, attempt_finished_at_s, attempt_outcome,
  attempt_cause, attempt_last_node_id, attempt_message, attempt_parked_s,
  virtual_time,
  tag_principal, tag_priority, tag_finish,
  mean_signature, mean_s, mean_learned_at_s,
  history_seq, history_json,
  request_key, fingerprint, key_created_at_s,
  paused,
  batch_added, batch_principal, batch_created_at_s, batch_counted, batch_about,
  pruned_seq, pruned_mark, pruned_at_s, pruned_batch_mark,
  forget_keys_before_s, forget_pruned_before_s, means_max,
  unwanted,
  event_position, event_seq, event_number, event_type, event_at_s, event_principal, event_batch_id, event_facts, event_drops
) AS SELECT
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL;

CREATE TEMP TRIGGER job_added INSTEAD OF INSERT ON changes WHEN NEW.prompt_json IS NOT NULL
BEGIN
  INSERT INTO jobs (
    seq, id, principal, trusted, priority, source, status, created_at_s, queued_at_s, number, start_tag, score,
    estimated_s, signature, client_id, metadata, node_count, prompt_length, needs_secret, held, cached, started_at_s,
    finished_at_s, outputs, cause, error, not_before_s, expires_at_s, max_attempts, models, forgiven,
    batch_id, batch_index, webhook, pool, origin, parked
  ) VALUES (
    NEW.seq, NEW.id, NEW.principal, NEW.trusted, NEW.priority, NEW.source, NEW.status, NEW.created_at_s,
    NEW.queued_at_s, NEW.number, NEW.start_tag, NEW.score, NEW.estimated_s, NEW.signature, NEW.client_id, NEW.metadata,
    NEW.node_count, NEW.prompt_length, NEW.needs_secret, NEW.held, NEW.cached, NEW.started_at_s, NEW.finished_at_s,
    NEW.outputs, NEW.cause, NEW.error, NEW.not_before_s, NEW.expires_at_s, NEW.max_attempts, NEW.models, NEW.forgiven,
    NEW.batch_id, NEW.batch_index, NEW.webhook, NEW.pool, NEW.origin, NEW.parked
  );
  -- OR IGNORE: two keys may be one text to SQLite, which ends it at a NUL.
  INSERT OR IGNORE INTO labels (key, value, job_seq)
  SELECT key, value, NEW.seq FROM json_each(NEW.metadata) WHERE type = 'text';
  INSERT INTO payloads (job_seq, prompt_json, extra_json, outputs_json)
  VALUES (NEW.seq, NEW.prompt_json, NEW.extra_json, NEW.outputs_json);
END;

CREATE TEMP TRIGGER job_saved INSTEAD OF INSERT ON changes WHEN NEW.seq IS NOT NULL AND NEW.prompt_json IS NULL
BEGIN
  UPDATE jobs SET
    priority = NEW.priority, status = NEW.status, queued_at_s = NEW.queued_at_s, start_tag = NEW.start_tag,
    score = NEW.score, estimated_s = NEW.estimated_s, held = NEW.held, cached = NEW.cached,
    started_at_s = NEW.started_at_s, finished_at_s = NEW.finished_at_s, outputs = NEW.outputs, cause = NEW.cause,
    error = NEW.error, not_before_s = NEW.not_before_s, expires_at_s = NEW.expires_at_s, forgiven = NEW.forgiven,
    parked = NEW.parked
  WHERE seq = NEW.seq;
END;

-- Metadata changes seldom: its labels are looked at only then.
CREATE TEMP TRIGGER metadata_saved INSTEAD OF INSERT ON changes
WHEN NEW.seq IS NOT NULL AND NEW.prompt_json IS NULL AND NEW.metadata <> '{}'
  AND NEW.metadata <> (SELECT metadata FROM jobs WHERE seq = NEW.seq)
BEGIN
  DELETE FROM labels WHERE job_seq = NEW.seq
    AND (key, value) IN (SELECT key, value FROM json_each((SELECT metadata FROM jobs WHERE seq = NEW.seq)));
  INSERT OR IGNORE INTO labels (key, value, job_seq)
  SELECT key, value, NEW.seq FROM json_each(NEW.metadata) WHERE type = 'text';
  UPDATE jobs SET metadata = NEW.metadata WHERE seq = NEW.seq;
END;

CREATE TEMP TRIGGER outputs_saved INSTEAD OF INSERT ON changes
WHEN NEW.seq IS NOT NULL AND NEW.prompt_json IS NULL AND NEW.outputs <> '[]'
BEGIN
  INSERT OR IGNORE INTO output_assets (id, job_seq)
  SELECT value, NEW.seq FROM json_each(output_asset_ids(NEW.id, NEW.outputs));
END;

CREATE TEMP TRIGGER attempt_gone INSTEAD OF INSERT ON changes
WHEN NEW.attempt_seq IS NOT NULL AND NEW.attempt_boot_id IS NULL
BEGIN
  DELETE FROM attempts WHERE job_seq = NEW.attempt_seq AND number = NEW.attempt_number;
END;

CREATE TEMP TRIGGER attempt_saved INSTEAD OF INSERT ON changes
WHEN NEW.attempt_seq IS NOT NULL AND NEW.attempt_boot_id IS NOT NULL
BEGIN
  INSERT OR REPLACE INTO attempts (
    job_seq, number, started_at_s, boot_id, finished_at_s, outcome, cause, last_node_id, message, parked_s
  )
  VALUES (
    NEW.attempt_seq, NEW.attempt_number, NEW.attempt_started_at_s, NEW.attempt_boot_id, NEW.attempt_finished_at_s,
    NEW.attempt_outcome, NEW.attempt_cause, NEW.attempt_last_node_id, NEW.attempt_message,
    NEW.attempt_parked_s
  );
END;

CREATE TEMP TRIGGER virtual_time_moved INSTEAD OF INSERT ON changes WHEN NEW.virtual_time IS NOT NULL
BEGIN
  UPDATE ordering SET virtual_time = NEW.virtual_time;
  DELETE FROM finish_tags WHERE finish <= NEW.virtual_time;
END;

CREATE TEMP TRIGGER finish_tag_set INSTEAD OF INSERT ON changes WHEN NEW.tag_principal IS NOT NULL
BEGIN
  INSERT OR REPLACE INTO finish_tags (principal, priority, finish)
  VALUES (NEW.tag_principal, NEW.tag_priority, NEW.tag_finish);
END;

CREATE TEMP TRIGGER mean_learned INSTEAD OF INSERT ON changes WHEN NEW.mean_signature IS NOT NULL
BEGIN
  INSERT OR REPLACE INTO estimates (signature, mean_s, learned_at_s)
  VALUES (NEW.mean_signature, NEW.mean_s, NEW.mean_learned_at_s);
END;

CREATE TEMP TRIGGER history_set INSTEAD OF INSERT ON changes WHEN NEW.history_seq IS NOT NULL
BEGIN
  DELETE FROM histories WHERE job_seq = NEW.history_seq;
  INSERT INTO histories (job_seq, history_json)
  SELECT NEW.history_seq, NEW.history_json WHERE NEW.history_json IS NOT NULL;
END;

CREATE TEMP TRIGGER request_key_set INSTEAD OF INSERT ON changes WHEN NEW.request_key IS NOT NULL
BEGIN
  INSERT OR REPLACE INTO request_keys (principal, key, fingerprint, job_id, created_at_s)
  VALUES (NEW.principal, NEW.request_key, NEW.fingerprint, NEW.id, NEW.key_created_at_s);
END;

CREATE TEMP TRIGGER queue_paused INSTEAD OF INSERT ON changes WHEN NEW.paused IS NOT NULL
BEGIN
  UPDATE ordering SET paused = NEW.paused;
END;

CREATE TEMP TRIGGER batch_added INSTEAD OF INSERT ON changes WHEN NEW.batch_added IS NOT NULL
BEGIN
  INSERT INTO batches (id, principal, created_at_s, counted, about)
  VALUES (NEW.batch_added, NEW.batch_principal, NEW.batch_created_at_s, NEW.batch_counted, NEW.batch_about);
END;

CREATE TEMP TRIGGER event_logged INSTEAD OF INSERT ON changes WHEN NEW.event_position IS NOT NULL
BEGIN
  INSERT INTO events (position, job_seq, number, type, at_s, principal, batch_id, facts)
  VALUES (
    NEW.event_position, NEW.event_seq, NEW.event_number, NEW.event_type, NEW.event_at_s, NEW.event_principal,
    NEW.event_batch_id, NEW.event_facts
  );
END;

-- A job that has had too many events loses its oldest one with each new one.
CREATE TEMP TRIGGER event_dropped INSTEAD OF INSERT ON changes WHEN NEW.event_drops > 0
BEGIN
  UPDATE ordering SET forgotten_position = MAX(
    forgotten_position, (SELECT MIN(position) FROM events WHERE job_seq = NEW.event_seq)
  );
  DELETE FROM events WHERE position = (SELECT MIN(position) FROM events WHERE job_seq = NEW.event_seq);
END;

CREATE TEMP TRIGGER job_pruned INSTEAD OF INSERT ON changes WHEN NEW.pruned_seq IS NOT NULL
BEGIN
  UPDATE ordering SET forgotten_position = MAX(
    forgotten_position, COALESCE((SELECT MAX(position) FROM events WHERE job_seq = NEW.pruned_seq), 0)
  );
  DELETE FROM events WHERE job_seq = NEW.pruned_seq;
  DELETE FROM output_assets WHERE job_seq = NEW.pruned_seq;
  DELETE FROM labels WHERE job_seq = NEW.pruned_seq
    AND (key, value) IN (SELECT key, value FROM json_each((SELECT metadata FROM jobs WHERE seq = NEW.pruned_seq)));
  DELETE FROM histories WHERE job_seq = NEW.pruned_seq;
  DELETE FROM attempts WHERE job_seq = NEW.pruned_seq;
  DELETE FROM payloads WHERE job_seq = NEW.pruned_seq;
  INSERT OR REPLACE INTO pruned (mark, pruned_at_s)
  SELECT NEW.pruned_batch_mark, NEW.pruned_at_s FROM batches
  WHERE id = (SELECT batch_id FROM jobs WHERE seq = NEW.pruned_seq)
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE batch_id = batches.id AND seq <> NEW.pruned_seq);
  DELETE FROM batches
  WHERE id = (SELECT batch_id FROM jobs WHERE seq = NEW.pruned_seq)
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE batch_id = batches.id AND seq <> NEW.pruned_seq);
  DELETE FROM jobs WHERE seq = NEW.pruned_seq;
  INSERT OR REPLACE INTO pruned (mark, pruned_at_s) VALUES (NEW.pruned_mark, NEW.pruned_at_s);
END;

CREATE TEMP TRIGGER old_forgotten INSTEAD OF INSERT ON changes WHEN NEW.forget_keys_before_s IS NOT NULL
BEGIN
  DELETE FROM request_keys WHERE created_at_s < NEW.forget_keys_before_s;
  DELETE FROM pruned WHERE pruned_at_s < NEW.forget_pruned_before_s;
  DELETE FROM estimates WHERE signature IN (
    SELECT signature FROM estimates WHERE signature <> '' ORDER BY learned_at_s DESC, signature DESC
    LIMIT -1 OFFSET NEW.means_max
  );
END;

CREATE TEMP TRIGGER history_cleared INSTEAD OF INSERT ON changes WHEN NEW.unwanted = '*'
BEGIN
  DELETE FROM histories;
END;

CREATE TEMP TRIGGER history_forgotten INSTEAD OF INSERT ON changes WHEN NEW.unwanted <> '*'
BEGIN
  DELETE FROM histories WHERE job_seq IN (SELECT seq FROM jobs WHERE id IN (SELECT value FROM json_each(NEW.unwanted)));
END;
