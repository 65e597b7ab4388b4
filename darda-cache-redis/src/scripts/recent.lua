-- KEYS: bodies, log, window, pending
-- ARGV: conversation, 'after' or 'before', position, limit
local stretch = replication()
if not stretch then
  return redis.error_reply(COPY)
end
local state = redis.call('HMGET', KEYS[2], 'r', 'b', 'h', 'p', 't', 'e')
local known = state[1] == stretch
local given = known and state[2] == '1'
local head = given and (state[3] or state[4]) or ''
local last = given and state[4] or ''
local epoch = known and state[5] == '1' and state[6] or ''
local records = {}
local limit = tonumber(ARGV[4])
if limit > 0 then
  local from, window, waiting = '(' .. ARGV[3], nil, nil
  if ARGV[2] == 'after' then
    window = redis.call('XRANGE', KEYS[3], from .. '-0', '+', 'COUNT', limit)
    waiting = redis.call('ZRANGEBYSCORE', KEYS[4], from, '+inf', 'LIMIT', 0, limit)
  else
    window = redis.call('XREVRANGE', KEYS[3], from .. '-0', '-', 'COUNT', limit)
    waiting = redis.call('ZREVRANGEBYSCORE', KEYS[4], from, '-inf', 'LIMIT', 0, limit)
  end
  for i, entry in ipairs(window) do
    records[i] = entry[2][2]
  end
  -- What left the window before it left the outbox.
  for _, id in ipairs(waiting) do
    records[#records + 1] = redis.call('HGET', KEYS[1], ARGV[1] .. id) or nil
  end
end
return {head, last, epoch, records}
