-- KEYS: node. Answers token, whether it lives, when it ends, when its earlier leases ended.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local state = redis.call('HMGET', KEYS[1], 't', 'u', 'e')
if not state[1] then
  return {}
end
return {state[1], tonumber(state[2]) > now and '1' or '0', state[2], state[3]}
