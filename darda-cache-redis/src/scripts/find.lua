-- KEYS: bodies, window, ids, earlier ids; ARGV: conversation, id
if not replication() then
  return redis.error_reply(COPY)
end
local record = redis.call('HGET', KEYS[1], ARGV[1] .. ARGV[2])
if record then
  return record
end
local given = redis.call('HGET', KEYS[3], ARGV[2]) or redis.call('HGET', KEYS[4], ARGV[2])
if not given then
  return false
end
local there = redis.call('XRANGE', KEYS[2], given .. '-0', given .. '-0')[1]
if there and string.sub(there[2][2], 1, 16) == ARGV[2] then
  return there[2][2]
end
return false
