-- KEYS: shard, then the logs
local incarnation, copy = current(KEYS[1])
if copy then
  return copy
end
local epochs = {}
for i = 2, #KEYS do
  local state = redis.call('HMGET', KEYS[i], 'i', 't', 'e')
  epochs[i - 1] = incarnation and state[1] == incarnation and state[2] == '1' and state[3] or ''
end
return epochs
