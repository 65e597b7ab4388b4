-- KEYS: user; ARGV: retention in ms, last seen, then session and token of each that has ended
local ended = 0
for i = 3, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    ended = ended + redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
if ended > 0 then
  local seen = tonumber(redis.call('HGET', KEYS[1], 'seen') or '0')
  if tonumber(ARGV[2]) > seen then
    redis.call('HSET', KEYS[1], 'seen', ARGV[2])
  end
  if redis.call('PTTL', KEYS[1]) < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
  end
end
return ended
