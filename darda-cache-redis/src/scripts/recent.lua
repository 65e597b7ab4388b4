-- KEYS: shard, bodies, log, window, pending
-- ARGV: conversation, 'after' or 'before', position, limit
local incarnation, copy = current(KEYS[1])
if copy then
  return copy
end
local state = redis.call('HMGET', KEYS[3], 'i', 'b', 'h', 'p', 't', 'e')
local known = incarnation and state[1] == incarnation
local given = known and state[2] == '1'
local head = given and state[3] or ''
local last = given and state[4] or ''
local epoch = known and state[5] == '1' and state[6] or ''
local records = {}
local limit = tonumber(ARGV[4])
if limit > 0 then
  local from = '(' .. ARGV[3]
  local window, pending
  if ARGV[2] == 'after' then
    window = redis.call('XRANGE', KEYS[4], from .. '-0', '+', 'COUNT', limit)
    pending = redis.call('ZRANGEBYSCORE', KEYS[5], from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
  else
    window = redis.call('XREVRANGE', KEYS[4], from .. '-0', '-', 'COUNT', limit)
    pending = redis.call('ZREVRANGEBYSCORE', KEYS[5], from, '-inf', 'WITHSCORES', 'LIMIT', 0, limit)
  end
  local there = {}
  for i, entry in ipairs(window) do
    there[tonumber(string.match(entry[1], '^%d+'))] = true
    records[i] = entry[2][2]
  end
  for i = 1, #pending, 2 do
    if not there[tonumber(pending[i + 1])] then
      records[#records + 1] = redis.call('HGET', KEYS[2], ARGV[1] .. pending[i]) or nil
    end
  end
end
return {head, last, epoch, records}
