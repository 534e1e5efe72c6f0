-- What others committed since a version, read in one moment.
-- KEYS: meta, changes, events, live, ended. version, told: what the asker knows.
-- Gives, packed: the state; the entries of the commits since; the keys of the jobs that they changed; these jobs; the events since.
-- An asker that is too far behind gets no entries, and a zero in place of the state's first field.
local EVENTS_MAX = 20000
local function view(KEYS, version, told)
  local state = redis.call('HMGET', KEYS[1], 'birth', 'version', 'seq', 'position', 'forgotten', 'virtual_time', 'paused', 'epoch')
  if not state[1] then
    return cmsgpack.pack({state, {}, {}, {}, {}, 0})
  end
  local entries = redis.call('XRANGE', KEYS[2], (version + 1) .. '-0', '+')
  if #entries ~= tonumber(state[2] or 0) - version or tonumber(state[4] or 0) - told > EVENTS_MAX then
    return cmsgpack.pack({state, {}, {}, {}, {}, 0})
  end
  local keys, jobs, seen = {}, {}, {}
  for _, entry in ipairs(entries) do
    for _, key in ipairs(cmsgpack.unpack(entry[2][2])) do
      if not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
        jobs[#jobs + 1] = redis.call('HGET', KEYS[4], key) or redis.call('HGET', KEYS[5], key)
      end
    end
  end
  local events = redis.call('XRANGE', KEYS[3], (told + 1) .. '-0', '+')
  return cmsgpack.pack({state, entries, keys, jobs, events, 1})
end
