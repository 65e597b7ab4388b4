-- KEYS: bodies, changes; ARGV: conversation
if not replication() then
  return redis.error_reply(COPY)
end
local records = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  records[#records + 1] = redis.call('HGET', KEYS[1], ARGV[1] .. id) or nil
end
return records
