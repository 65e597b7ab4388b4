-- KEYS: shard, log; ARGV: epoch, idle seconds
local stretch = replication()
if not stretch then
  return redis.error_reply(COPY)
end
local state = redis.call('HMGET', KEYS[2], 'r', 'e')
if state[1] ~= stretch then
  local incarnation = begun(KEYS[1], stretch)
  redis.call('HSET', KEYS[2], 'r', stretch, 'i', incarnation, 'b', 0, 'e', ARGV[1], 't', 0, 'o', '')
elseif tonumber(ARGV[1]) > (tonumber(state[2]) or 0) then
  redis.call('HSET', KEYS[2], 'e', ARGV[1], 'o', '')
end
if redis.call('TTL', KEYS[2]) < 0 then
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
return 1
