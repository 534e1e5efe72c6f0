-- Takes again the leases of attempts that still run here, where the lease is gone and nobody else has the job.
-- ARGV: packed {prefix, id, token} of each, the lease in milliseconds. Gives 1 for each that is held (again), else 0.
local held = {}
for at, ask in ipairs(cmsgpack.unpack(ARGV[1])) do
  local lock = ask[1] .. ask[2] .. ':lock'
  local token = redis.call('GET', lock)
  held[at] = 0
  if token == ask[3] or (not token and redis.call('LPOS', ask[1] .. 'active', ask[2])) then
    redis.call('SET', lock, ask[3], 'PX', ARGV[2])
    held[at] = 1
  end
end
return held
