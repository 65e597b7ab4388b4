-- KEYS: shard, due, bodies, claims, log, window, ids, earlier ids, pending, changes
-- ARGV: conversation, id, position
local stretch = replication()
if not stretch then
  return redis.error_reply(COPY)
end
local state = redis.call('HMGET', KEYS[5], 'r', 'i')
local incarnation = state[1] == stretch and state[2] or current(KEYS[1], stretch)
local name = ARGV[1] .. ARGV[2]
local member = name .. ARGV[3]
if redis.call('ZSCORE', KEYS[2], member) then
  clear(KEYS[2], KEYS[3], KEYS[4],
    {{name = name, member = member, id = ARGV[2], pending = KEYS[9], changes = KEYS[10]}})
end
forget(incarnation, KEYS[5], KEYS[6], KEYS[7], KEYS[8], ARGV[2], ARGV[3])
return 1
