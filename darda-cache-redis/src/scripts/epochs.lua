-- KEYS: the logs
local stretch = replication()
if not stretch then
  return redis.error_reply(COPY)
end
local epochs = {}
for i, log in ipairs(KEYS) do
  local state = redis.call('HMGET', log, 'r', 't', 'e')
  epochs[i] = state[1] == stretch and state[2] == '1' and state[3] or ''
end
return epochs
