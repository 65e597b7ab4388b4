-- KEYS: shard, then of each log: log, window
local incarnation, copy = current(KEYS[1])
if copy then
  return copy
end
local heads = {}
for i = 2, #KEYS, 2 do
  local state = redis.call('HMGET', KEYS[i], 'i', 'b', 'h', 'm')
  local head, message = '', ''
  if incarnation and state[1] == incarnation and state[2] == '1' then
    head = state[3] or ''
  end
  if head ~= '' and state[4] and state[4] ~= '' then
    local place = state[4] .. '-0'
    local there = redis.call('XRANGE', KEYS[i + 1], place, place)[1]
    message = there and there[2][2] or ''
  end
  heads[#heads + 1] = head
  heads[#heads + 1] = message
end
return heads
