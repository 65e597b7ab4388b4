-- What no append can do without: repeat, position, window, outbox, in one step.
-- KEYS: log, ids, window, outbox. ARGV: id, entry.
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known then
    return {known, ''}
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local prev = redis.call('HGET', KEYS[1], 'last')
local position = now
if prev and tonumber(prev) >= now then
    position = prev + 1
end
position = string.format('%.0f', position)
redis.call('HSET', KEYS[1], 'last', position)
redis.call('HSET', KEYS[2], ARGV[1], position)
redis.call('RPUSH', KEYS[3], ARGV[2])
redis.call('LTRIM', KEYS[3], -200, -1)
redis.call('HSET', KEYS[4], position, ARGV[2])
return {position, prev or ''}
