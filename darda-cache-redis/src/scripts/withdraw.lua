-- KEYS: shard, due, bodies, claims, log, window, ids, earlier ids, pending, changes
-- ARGV: conversation, id, position
local stretch = replication()
if not stretch then
  return redis.error_reply(COPY)
end
local state = redis.call('HMGET', KEYS[5], 'r', 'i')
local incarnation = state[1] == stretch and state[2] or current(KEYS[1], stretch)
clear(KEYS[2], KEYS[3], KEYS[4], KEYS[9], KEYS[10], ARGV[1] .. ARGV[2], ARGV[2], ARGV[3])
forget(incarnation, KEYS[5], KEYS[6], KEYS[7], KEYS[8], ARGV[2], ARGV[3])
return 1
