-- KEYS: user; ARGV: retention in ms, sessions
local ended = 0
for i = 2, #ARGV do
  ended = ended + redis.call('HDEL', KEYS[1], ARGV[i])
end
if ended > 0 then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  redis.call('HSET', KEYS[1], 'seen', string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return ended
