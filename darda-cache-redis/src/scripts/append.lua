-- KEYS: shard, due, bodies, log, window, ids, pending, changes
-- ARGV: conversation, id, kind, admission, epoch, outbox limit, window, idle seconds, bytes
local shard, due, bodies, log, window, ids, pending, changes =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local conversation, id, kind, admission = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local given = redis.call('ZSCORE', ids, id)
local state = redis.call('HMGET', log, 'i', 'b', 'p', 'e', 't', 'o', 'x')
if not (given or state[1]) then
  -- The log was forgotten, though not what waits.
  given = redis.call('ZSCORE', pending, id)
end
if given then
  local record = redis.call('HGET', bodies, conversation .. id)
  return {'repeat', string.format('%.0f', tonumber(given)), record}
end

local incarnation, copy = begun(shard)
if copy then
  return copy
end
local known = state[1] == incarnation
local epoch = known and tonumber(state[4]) or 0
local taught = known and state[5] == '1'
local checked = tonumber(ARGV[5])
local relocated = admission == 'relocated'
if not relocated and (checked < epoch or not (taught or admission == 'fresh')) then
  return {'stale'}
end
if not relocated and redis.call('ZCARD', due) >= tonumber(ARGV[6]) then
  return {'busy'}
end

local now = now_us()
local last = tonumber(state[3]) or 0
local first = not (known and state[2] == '1')
local earliest = now
if first then
  earliest = now + 1000000
  local newest = redis.call('XREVRANGE', window, '+', '-', 'COUNT', 1)[1]
  if newest then
    last = math.max(last, tonumber(string.match(newest[1], '^%d+')))
  end
end
local position = math.max(earliest, last + 1)
local place = string.format('%.0f', position)

local change = kind == 'c'
local of = known and state[6] or ''
if change and not relocated then
  checked = position
end
if (change or not relocated) and checked > epoch then
  epoch = checked
  of = ''
end
if change and checked == epoch then
  of = id
end
local prev = first and 0 or last
local record = id .. string.format('%016.0f%016.0f%016.0f%016.0f', position, prev, checked,
  tonumber(incarnation)) .. kind .. (relocated and 'r' or '-') .. ARGV[9]

redis.call('XADD', window, 'MAXLEN', '~', ARGV[7], place .. '-0', 'r', record)
redis.call('HSET', bodies, conversation .. id, record)
redis.call('ZADD', due, place, conversation .. id .. string.format('%016.0f', position))
redis.call('ZADD', pending, place, id)
redis.call('ZADD', ids, place, id)
if change then
  redis.call('ZADD', changes, place, id)
end
local set = {'i', incarnation, 'b', '1', 'p', place, 'e', string.format('%.0f', epoch),
  't', (taught or not relocated) and '1' or '0', 'o', of, 'h', place}
if kind == 'm' then
  set[#set + 1] = 'm'
  set[#set + 1] = place
end

local count = redis.call('ZCARD', ids)
local seconds = math.floor(now / 1000000)
if count == 1 or seconds - (tonumber(state[7]) or 0) >= 3600 then
  set[#set + 1] = 'x'
  set[#set + 1] = tostring(seconds)
  redis.call('HSET', log, unpack(set))
  for _, key in ipairs({log, window, ids}) do
    redis.call('EXPIRE', key, ARGV[8])
  end
else
  redis.call('HSET', log, unpack(set))
end

-- Ids older than 24 hours or beyond the newest 10,000 are forgotten, some at a time; not those of
-- the window, which is found by them, nor those that wait.
local keep = 2 * tonumber(ARGV[7])
if count > keep and count % 64 == 0 then
  local function at(rank)
    return tonumber(redis.call('ZRANGE', ids, rank, rank, 'WITHSCORES')[2])
  end
  local old = now - 86400000000
  if count > 10000 then
    old = math.max(old, at(-10001))
  end
  old = string.format('%.0f', math.min(old, at(-keep - 1)))
  local waiting = redis.call('ZRANGEBYSCORE', pending, '-inf', old, 'WITHSCORES')
  redis.call('ZREMRANGEBYSCORE', ids, '-inf', old)
  for i = 1, #waiting, 2 do
    redis.call('ZADD', ids, waiting[i + 1], waiting[i])
  end
end
return {'new', place, string.format('%.0f', prev), string.format('%.0f', checked), incarnation}
