-- KEYS: bodies, window, ids; ARGV: conversation, id
local info = redis.call('INFO', 'replication')
if not string.find(info, 'role:master', 1, true) then
  return redis.error_reply('READONLY this server is a copy')
end
local record = redis.call('HGET', KEYS[1], ARGV[1] .. ARGV[2])
if record then
  return record
end
local given = redis.call('ZSCORE', KEYS[3], ARGV[2])
if not given then
  return false
end
local place = string.format('%.0f', tonumber(given)) .. '-0'
local there = redis.call('XRANGE', KEYS[2], place, place)[1]
if there and string.sub(there[2][2], 1, 16) == ARGV[2] then
  return there[2][2]
end
return false
