-- KEYS: bodies, changes; ARGV: conversation
local info = redis.call('INFO', 'replication')
if not string.find(info, 'role:master', 1, true) then
  return redis.error_reply('READONLY this server is a copy')
end
local records = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  records[#records + 1] = redis.call('HGET', KEYS[1], ARGV[1] .. id) or nil
end
return records
