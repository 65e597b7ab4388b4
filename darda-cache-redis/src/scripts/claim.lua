-- KEYS: due, bodies, claims; ARGV: age in microseconds, then members of due
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local age = tonumber(ARGV[1])
local records = {}
for i = 2, #ARGV do
  local since = redis.call('ZSCORE', KEYS[1], ARGV[i])
  -- Looked at again: somebody else may have claimed it.
  if since and tonumber(since) < now - age then
    local record = redis.call('HGET', KEYS[2], string.sub(ARGV[i], 1, 32))
    if record then
      local claims = redis.call('HINCRBY', KEYS[3], ARGV[i], 1)
      local wait = age * 2 ^ math.min(claims - 1, 5)
      redis.call('ZADD', KEYS[1], string.format('%.0f', now + wait - age), ARGV[i])
      records[#records + 1] = record
    else
      redis.call('ZREM', KEYS[1], ARGV[i])
    end
  end
end
return records
