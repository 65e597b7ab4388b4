-- KEYS: node; ARGV: 'renew', 'register' or 'remove', lease in ms, retention in ms, token
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local state = redis.call('HMGET', KEYS[1], 't', 'u', 'o')
local held = state[1] and tonumber(state[2]) > now
if ARGV[1] == 'remove' then
  if held then
    redis.call('HSET', KEYS[1], 'u', string.format('%.0f', now))
  end
  return {'', ''}
end
local token, told = state[1], state[3] == '1'
if not held then
  token, told = ARGV[4], false
  local ended = state[2] or string.format('%.0f', now)
  redis.call('HSET', KEYS[1], 't', token, 'e', ended)
end
local answer = told and 'held' or 'forgotten'
if ARGV[1] == 'renew' then
  told = true
end
redis.call('HSET', KEYS[1], 'u', string.format('%.0f', now + tonumber(ARGV[2])),
  'o', told and '1' or '0')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {answer, token}
