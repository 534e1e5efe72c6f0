-- Writes all that a batch of verbs changed, or nothing, and moves its jobs in BullMQ's structures.
-- KEYS: meta, changes, events, live, ended, pruned, request keys, turn. ARGV: what is asked, packed.
-- Gives: 'done', or {'done', jobs that BullMQ did not follow}, {'behind', view}, {'known'}, {'locked', lock}, {'other'}, {'wait'}, {'late'}.
local CHANGES_KEPT = 10000
local TURN_MS = 200
local WORD_MAX = 16384
local specials = {}

-- A job of a batch was pruned: the batch goes with its last one, and is remembered.
function specials.LEFT(batch, pruned, at_s, mark)
  if redis.call('HEXISTS', batch, 'about') == 1 and redis.call('HINCRBY', batch, 'left', -1) <= 0 then
    redis.call('DEL', batch)
    redis.call('ZADD', pruned, at_s, mark)
  end
end

-- Events that are kept no more; the largest position among them is remembered.
function specials.STRIKE(meta, events, ...)
  redis.call('XDEL', events, ...)
  local last = select(select('#', ...), ...)
  local position = tonumber(string.sub(last, 1, -3))
  if position > tonumber(redis.call('HGET', meta, 'forgotten') or 0) then
    redis.call('HSET', meta, 'forgotten', position)
  end
end

-- No more than so many events in all.
function specials.TRIM(meta, events, kept)
  if redis.call('XTRIM', events, 'MAXLEN', '~', kept) > 0 then
    local first = redis.call('XRANGE', events, '-', '+', 'COUNT', 1)[1]
    local position = tonumber(string.match(first[1], '^%d+')) - 1
    if position > tonumber(redis.call('HGET', meta, 'forgotten') or 0) then
      redis.call('HSET', meta, 'forgotten', position)
    end
  end
end

-- Request keys and pruned ids of before these times, finish tags that the virtual time has reached, the oldest means but for so many.
function specials.FORGET(request, requested, pruned, means, tags, keys_before_s, pruned_before_s, means_max, virtual_time)
  for _, field in ipairs(redis.call('ZRANGEBYSCORE', requested, '-inf', '(' .. keys_before_s)) do
    redis.call('HDEL', request, field)
  end
  redis.call('ZREMRANGEBYSCORE', requested, '-inf', '(' .. keys_before_s)
  redis.call('ZREMRANGEBYSCORE', pruned, '-inf', '(' .. pruned_before_s)
  local found = redis.call('HGETALL', tags)
  for at = 1, #found, 2 do
    if tonumber(found[at + 1]) <= tonumber(virtual_time) then
      redis.call('HDEL', tags, found[at])
    end
  end
  if redis.call('HLEN', means) > means_max + 1 then
    local learned, all = {}, redis.call('HGETALL', means)
    for at = 1, #all, 2 do
      if all[at] ~= '' then
        learned[#learned + 1] = {cjson.decode(all[at + 1])[2], all[at]}
      end
    end
    table.sort(learned, function(one, other) return one[1] < other[1] or (one[1] == other[1] and one[2] < other[2]) end)
    for at = 1, #learned - means_max do
      redis.call('HDEL', means, learned[at][2])
    end
  end
end

local ask = cmsgpack.unpack(ARGV[1])
-- Redis hung, or the wire was cut: who asked has been told that nothing was stored.
local time = redis.call('TIME')
if tonumber(time[1]) + tonumber(time[2]) / 1000000 > tonumber(ask['until']) then
  return {'late'}
end
local state = redis.call('HMGET', KEYS[1], 'birth', 'version')
if state[1] ~= ask.birth then
  return {'other'}
end
-- Who lost too many races asks for a turn: for a moment nobody else writes. Who only looks needs none, and waits for none.
local writes = #ask.commands > 0 or #ask.moves > 0
local turn = redis.call('GET', KEYS[8])
local mine = turn == ask.turn
if turn and not mine and writes then
  return {'wait'}
end
if mine and not writes then
  redis.call('DEL', KEYS[8])
end
if tonumber(state[2] or 0) ~= ask.version then
  if ask.polite == 1 and writes and not turn then
    redis.call('SET', KEYS[8], ask.turn, 'PX', TURN_MS)
  end
  return {'behind', view(KEYS, ask.version, ask.told)}
end
for _, key in ipairs(ask.absent) do
  if redis.call('HEXISTS', KEYS[4], key) == 1 or redis.call('HEXISTS', KEYS[5], key) == 1 then
    return {'known'}
  end
end
for _, mark in ipairs(ask.unpruned) do
  if redis.call('ZSCORE', KEYS[6], mark) then
    return {'known'}
  end
end
for _, key in ipairs(ask.unkeyed) do
  if redis.call('HEXISTS', KEYS[7], key) == 1 then
    return {'known'}
  end
end
-- A lease may be gone, but never another's: then somebody else runs the job.
for _, lock in ipairs(ask.locks) do
  local held = redis.call('GET', lock[1])
  if held and held ~= lock[2] then
    return {'locked', lock[1]}
  end
end
if not writes then
  return {ok = 'done'}
end
-- A script that has begun to write may go on when Redis is full: this writes nothing, and may always be done.
if ask.full_too == 1 then
  redis.call('HDEL', KEYS[1], '')
end
for _, command in ipairs(ask.commands) do
  local special = specials[command[1]]
  if special then
    special(unpack(command, 2))
  else
    redis.call(unpack(command))
  end
end
local version = ask.version + 1
redis.call('XADD', KEYS[2], 'MAXLEN', '~', CHANGES_KEPT, version .. '-0', 'j', ask.changed, 'x', ask.also, 'w', ask.token)
local astray = {}
for _, move in ipairs(ask.moves) do
  local went, why = pcall(moves[move[1]], unpack(move, 2))
  if not went or why then
    astray[#astray + 1] = move[1] .. ' ' .. move[3] .. ': ' .. tostring(type(why) == 'table' and why.err or why)
  end
end
if turn then
  redis.call('DEL', KEYS[8])
end
-- Nobody else listens: nobody is woken for nothing. A word that is lost so is made up for by the next look. The word says what was
-- committed, so that nobody needs to look, but for much at once.
local ears = redis.call('PUBSUB', 'NUMSUB', ask.channel)[2]
if tonumber(ears) > ask.listens then
  local told = view(KEYS, ask.version, ask.told)
  redis.call('PUBLISH', ask.channel, ask.turn .. ' ' .. version .. (#told <= WORD_MAX and ' ' .. told or ''))
end
return #astray > 0 and {'done', astray} or {ok = 'done'}
