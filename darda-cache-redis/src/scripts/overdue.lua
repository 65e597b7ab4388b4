-- KEYS: due; ARGV: age in microseconds, limit
local before = string.format('(%.0f', now_us() - tonumber(ARGV[1]))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', before, 'LIMIT', 0, ARGV[2])
