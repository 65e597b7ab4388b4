-- KEYS: shard, due, bodies, log, window, ids, earlier ids, pending, changes
-- ARGV: conversation, id, kind, admission, epoch, outbox limit, window, idle seconds, bytes
-- Positions, epochs and incarnations are kept as 16 digits, as the columns of a record want them.
local due, bodies, log, window, ids = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local id, kind = ARGV[2], ARGV[3]
local name = ARGV[1] .. id
local stretch = replication()
if not stretch then
  return redis.error_reply(COPY)
end

local state = redis.call('HMGET', log, 'r', 'i', 'b', 'p', 'e', 't', 'o', 'h', 'n', 'g', 'x', 'f', 'c')
local given = redis.call('HGET', ids, id) or state[12] and redis.call('HGET', KEYS[7], id)
if given then
  return {'repeat', given, redis.call('HGET', bodies, name)}
end
if not state[1] then
  -- The log was forgotten, though not what waits.
  local record = redis.call('HGET', bodies, name)
  if record then
    return {'repeat', string.sub(record, 17, 32), record}
  end
end

local known = state[1] == stretch
local epoch = known and tonumber(state[5]) or 0
local taught = known and state[6] == '1'
local checked = tonumber(ARGV[5])
local relocated = ARGV[4] == 'relocated'
if not relocated then
  if checked < epoch or not (taught or ARGV[4] == 'fresh') then
    return {'stale'}
  end
  if redis.call('ZCARD', due) >= tonumber(ARGV[6]) then
    return {'busy'}
  end
end

local incarnation = known and state[2] or begun(KEYS[1], stretch)
local time = redis.call('TIME')
local seconds = tonumber(time[1])
local now = seconds * 1000000 + tonumber(time[2])
local last = tonumber(state[4]) or 0
local first = not (known and state[3] == '1')
local earliest = now
if first then
  earliest = now + 1000000
  local newest = redis.call('XREVRANGE', window, '+', '-', 'COUNT', 1)[1]
  if newest then
    last = math.max(last, tonumber(string.match(newest[1], '^%d+')))
  end
end
local position = math.max(earliest, last + 1)
local place = string.format('%016.0f', position)

local change = kind == 'c'
local of = known and state[7] or ''
local digits = ARGV[5]
if change and not relocated then
  checked, digits = position, place
end
local raised = false
if (change or not relocated) and checked > epoch then
  epoch, of, raised = checked, '', true
end
if change and checked == epoch then
  of = id
end
local columns = place .. (first and '0000000000000000' or state[4]) .. digits .. incarnation
local record = id .. columns .. kind .. (relocated and 'r' or '-') .. ARGV[9]

redis.call('XADD', window, place .. '-0', 'r', record)
redis.call('HSET', bodies, name, record)
redis.call('ZADD', due, position == now and place or string.format('%.0f', now), name .. place)
redis.call('HSET', ids, id, place)
if change then
  redis.call('ZADD', KEYS[9], place, id)
end

local count = (tonumber(state[9]) or 0) + 1
if first or raised or change or not taught then
  redis.call('HSET', log, 'r', stretch, 'i', incarnation, 'b', '1',
    'e', string.format('%016.0f', epoch), 't', (taught or not relocated) and '1' or '0', 'o', of)
end
if state[8] then
  redis.call('HDEL', log, 'h')
end
if kind == 'm' then
  redis.call('HSET', log, 'p', place, 'n', count, 'm', place)
else
  redis.call('HSET', log, 'p', place, 'n', count)
end
if seconds - (tonumber(state[11]) or 0) >= 3600 then
  redis.call('HSET', log, 'x', time[1])
  for i = 4, state[12] and 7 or 6 do
    redis.call('EXPIRE', KEYS[i], ARGV[8])
  end
end

if count >= 64 then
  redis.call('HSET', log, 'n', 0)
  local keep = tonumber(ARGV[7])
  local surplus = redis.call('XLEN', window) - keep
  if surplus > 0 then
    local old = redis.call('XRANGE', window, '-', '+', 'COUNT', surplus)
    for from = 1, #old, 100 do
      local some, members = {}, {}
      for i = from, math.min(from + 99, #old) do
        local record = old[i][2][2]
        some[#some + 1] = {string.sub(record, 17, 32), string.sub(record, 1, 16)}
        members[#members + 1] = ARGV[1] .. string.sub(record, 1, 32)
      end
      for i, waits in ipairs(redis.call('ZMSCORE', due, unpack(members))) do
        if waits then
          redis.call('ZADD', KEYS[8], unpack(some[i]))
        end
      end
    end
    redis.call('XTRIM', window, 'MAXLEN', keep)
  end
  -- Two generations of ids: the earlier one goes when the younger one alone is enough, which always
  -- has those of the window. Those that it was begun with, since they waited, do not count.
  local since = tonumber(state[10])
  local many = redis.call('HLEN', ids) - (tonumber(state[13]) or 0)
  if not since then
    redis.call('HSET', log, 'g', time[1])
  elseif many >= 10000 or (many >= 4 * keep and seconds - since >= 86400) then
    redis.call('RENAME', ids, KEYS[7])
    local waiting = redis.call('ZRANGE', KEYS[8], 0, -1, 'WITHSCORES')
    redis.call('HSET', log, 'g', time[1], 'x', 0, 'f', 1, 'c', #waiting / 2)
    for i = 1, #waiting, 2 do
      redis.call('HSET', ids, waiting[i], string.format('%016.0f', tonumber(waiting[i + 1])))
    end
    if #waiting > 0 then
      redis.call('EXPIRE', ids, ARGV[8])
    end
  end
end
return {'new', columns}
