-- How a job moves in BullMQ: by its own scripts, which stand above as functions by their names.
-- Each gives nothing when it worked, else why not. `prefix`: what the keys of the pool's queue begin with.
local function keys_of(prefix, ...)
  local keys = {...}
  for at = 1, #keys do
    keys[at] = prefix .. keys[at]
  end
  return keys
end
local function refused(code)
  if type(code) == 'number' and code < 0 then
    return code
  end
end
local moves = {}

-- Takes a job out of wherever it stands, whoever has its lock.
function moves.drop(prefix, id)
  redis.call('DEL', prefix .. id .. ':lock')
  if redis.call('EXISTS', prefix .. id) == 1 then
    removeJob({prefix .. id, prefix .. 'repeat'}, {id, '0', prefix})
  end
end

-- Puts a new job into the line, or (with a delay) aside.
function moves.add(prefix, id, packed, data, opts, now_ms, delayed)
  if delayed == 1 then
    return refused(addDelayedJob(keys_of(prefix, 'marker', 'meta', 'id', 'delayed', 'completed', 'events'), {packed, data, opts, now_ms}))
  end
  return refused(addPrioritizedJob(
    keys_of(prefix, 'marker', 'meta', 'id', 'prioritized', 'delayed', 'completed', 'active', 'events', 'pc'), {packed, data, opts, now_ms}
  ))
end

-- The same for one that may stand somewhere.
function moves.put(prefix, id, ...)
  moves.drop(prefix, id)
  return moves.add(prefix, id, ...)
end

-- Gives a waiting job another rank; first: before all others of that rank.
function moves.rank(prefix, id, rank, first)
  return refused(changePriority(
    keys_of(prefix, 'wait', 'paused', 'meta', 'prioritized', 'active', 'pc', 'marker'), {rank, prefix, id, first}
  ))
end

-- Takes a job to run, wherever it stands, under a lease.
function moves.take(prefix, id, token, lease_ms, now_ms)
  if redis.call('ZSCORE', prefix .. 'delayed', id) then
    promote(keys_of(prefix, 'delayed', 'wait', 'paused', 'meta', 'prioritized', 'active', 'pc', 'events', 'marker'), {prefix, id})
  end
  local wrong = moves.rank(prefix, id, 1, '1')
  local given
  if not wrong and redis.call('LLEN', prefix .. 'wait') == 0 and redis.call('ZRANGE', prefix .. 'prioritized', 0, 0)[1] == id then
    given = moveToActive(
      keys_of(prefix, 'wait', 'active', 'prioritized', 'events', 'stalled', 'limiter', 'delayed', 'paused', 'meta', 'pc', 'marker'),
      {prefix, now_ms, cmsgpack.pack({token = token, lockDuration = lease_ms})}
    )
  end
  if not given or given[2] ~= id then
    -- The lease holds all the same: what BullMQ shows follows our record, not the other way round.
    redis.call('SET', prefix .. id .. ':lock', token, 'PX', lease_ms)
    return 'not given (' .. tostring(wrong) .. ')'
  end
end

-- Ends a job that runs.
function moves.finish(prefix, id, token, now_ms, field, value, set, keep)
  if redis.call('GET', prefix .. id .. ':lock') ~= token then
    token = '0'
  end
  local keys = keys_of(
    prefix, 'wait', 'active', 'prioritized', 'events', 'stalled', 'limiter', 'delayed', 'paused', 'meta', 'pc', set, id,
    'metrics:' .. set, 'marker'
  )
  local opts = cmsgpack.pack({
    token = token, keepJobs = {count = keep}, lockDuration = 0, attempts = 1, attemptsMade = 0, maxMetricsSize = '',
    fpof = false, cpof = false, idof = false, rdof = false
  })
  local code = refused(moveToFinished(keys, {id, now_ms, field, value, set, '', prefix, opts}))
  if code then
    moves.drop(prefix, id)
  end
  return code
end

-- Puts a job that runs back into the line, or (until a time) aside; the last arguments put it there if BullMQ lost it.
function moves.back(prefix, id, token, rank, delay_ms, packed, data, opts, now_ms, delayed)
  if redis.call('GET', prefix .. id .. ':lock') ~= token then
    token = '0'
  end
  redis.call('HSET', prefix .. id, 'priority', rank)
  local code
  if delayed == 1 then
    code = refused(moveToDelayed(
      keys_of(prefix, 'marker', 'active', 'prioritized', 'delayed', id, 'events', 'meta', 'stalled', 'wait', 'limiter', 'pc'),
      {prefix, now_ms, id, token, delay_ms, '0', '', '0'}
    ))
  else
    code = refused(retryJob(
      keys_of(prefix, 'active', 'wait', 'paused', id, 'meta', 'events', 'delayed', 'prioritized', 'pc', 'marker', 'stalled'),
      {prefix, now_ms, 'LPUSH', id, token}
    ))
  end
  if code then
    return moves.put(prefix, id, packed, data, opts, now_ms, delayed)
  end
end

-- Makes a pool's queue known to dashboards, paused or not.
function moves.open(prefix, name, kept_events, version)
  redis.call('HSET', prefix .. 'meta', 'opts.maxLenEvents', kept_events, 'version', version)
end

function moves.pause(prefix, name, paused)
  local from, to, word = 'paused', 'wait', 'resumed'
  if paused == 1 then
    from, to, word = 'wait', 'paused', 'paused'
  end
  pause(keys_of(prefix, from, to, 'meta', 'prioritized', 'events', 'delayed', 'marker'), {word})
end
