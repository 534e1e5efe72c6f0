-- The registry of instances, in one step each. KEYS: the set of names, the hash of capabilities. ARGV: what to do, then what it needs.
-- An instance is a hash under ARGV[2] .. name: boot, seen (Redis' time), left, mark, facts, wish, wish_boot.

local function now()
  local time = redis.call("TIME")
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local prefix = ARGV[2]

local function announce(name, boot, facts, mark, blob, gone_after, forgotten_after)
  local key = prefix .. name
  local known = redis.call("HMGET", key, "boot", "seen", "left", "wish", "wish_boot")
  local at = now()
  if known[1] and known[1] ~= boot and known[3] ~= "1" and at - tonumber(known[2]) < gone_after then
    return {"taken", known[1], ""}
  end
  local wish = known[4] or ""
  if wish == "draining" and known[5] ~= boot then
    wish = ""
    redis.call("HDEL", key, "wish", "wish_boot")
  end
  redis.call("HSET", key, "boot", boot, "seen", string.format("%.6f", at), "left", "0", "mark", mark, "facts", facts)
  redis.call("EXPIRE", key, forgotten_after)
  redis.call("SADD", KEYS[1], name)
  if blob ~= "" and mark ~= "" then
    redis.call("HSET", KEYS[2], mark, blob)
    local used = {}
    for _, other in ipairs(redis.call("SMEMBERS", KEYS[1])) do
      used[redis.call("HGET", prefix .. other, "mark") or ""] = true
    end
    for _, kept in ipairs(redis.call("HKEYS", KEYS[2])) do
      if not used[kept] then
        redis.call("HDEL", KEYS[2], kept)
      end
    end
  end
  local missing = mark ~= "" and redis.call("HEXISTS", KEYS[2], mark) == 0
  return {"heard", wish, missing and "missing" or ""}
end

local function leave(name, boot)
  if redis.call("HGET", prefix .. name, "boot") == boot then
    redis.call("HSET", prefix .. name, "left", "1")
  end
  return ""
end

local function shown(name)
  return redis.call("HMGET", prefix .. name, "facts", "seen", "left")
end

local function list()
  local found = {string.format("%.6f", now())}
  for _, name in ipairs(redis.call("SMEMBERS", KEYS[1])) do
    if redis.call("EXISTS", prefix .. name) == 1 then
      found[#found + 1] = shown(name)
    else
      redis.call("SREM", KEYS[1], name)
    end
  end
  return found
end

local function wish(name, state)
  local boot = redis.call("HGET", prefix .. name, "boot")
  if not boot then
    return false
  end
  redis.call("HSET", prefix .. name, "wish", state, "wish_boot", boot)
  return {string.format("%.6f", now()), shown(name)}
end

local what = ARGV[1]
if what == "announce" then
  return announce(ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]))
elseif what == "leave" then
  return leave(ARGV[3], ARGV[4])
elseif what == "list" then
  return list()
else
  return wish(ARGV[3], ARGV[4])
end
