-- KEYS: of each log: log, window
local stretch = replication()
if not stretch then
  return redis.error_reply(COPY)
end
local heads = {}
for i = 1, #KEYS, 2 do
  local state = redis.call('HMGET', KEYS[i], 'r', 'b', 'h', 'p', 'm')
  local head, message = '', ''
  if state[1] == stretch and state[2] == '1' then
    head = state[3] or state[4]
  end
  if head ~= '' and state[5] and state[5] ~= '' then
    local place = state[5] .. '-0'
    local there = redis.call('XRANGE', KEYS[i + 1], place, place)[1]
    message = there and there[2][2] or ''
  end
  heads[i], heads[i + 1] = head, message
end
return heads
