-- Takes an entry out of a log's memory and window. The outbox is the caller's.
local function forget(incarnation, log, window, ids, earlier, id, place)
  local state = redis.call('HMGET', log, 'o', 'h', 'p', 'm')
  for _, key in ipairs({ids, earlier}) do
    if redis.call('HGET', key, id) == place then
      redis.call('HDEL', key, id)
      -- The hash may be gone with it: the next one wants a TTL.
      if state[3] then
        redis.call('HSET', log, 'x', 0)
      end
      if state[1] == id then
        redis.call('HSET', log, 'e', 0, 't', 0, 'o', '')
      end
    end
  end
  local there = redis.call('XRANGE', window, place .. '-0', place .. '-0')[1]
  if not there or string.sub(there[2][2], 1, 16) ~= id then
    return
  end
  redis.call('XDEL', window, place .. '-0')
  if (state[2] or state[3]) == place then
    -- An older incarnation's entry need not be the newest of the log.
    local newest = redis.call('XREVRANGE', window, '+', '-', 'COUNT', 1)[1]
    local head = ''
    if newest and string.sub(newest[2][2], 65, 80) == incarnation then
      head = string.sub(newest[2][2], 17, 32)
    end
    redis.call('HSET', log, 'h', head)
  end
  if state[4] == place then
    local message, from = '', '+'
    repeat
      local some = redis.call('XREVRANGE', window, from, '-', 'COUNT', 16)
      for _, entry in ipairs(some) do
        if message == '' and string.sub(entry[2][2], 81, 81) == 'm' then
          message = string.sub(entry[2][2], 17, 32)
        end
        from = '(' .. entry[1]
      end
    until message ~= '' or #some < 16
    redis.call('HSET', log, 'm', message)
  end
end

-- Takes entries out of the outbox: of each its name, its member there, its id, and the log's keys.
local function clear(due, bodies, claims, entries)
  if #entries == 0 then
    return
  end
  local names, members, ids = {}, {}, {}
  for i, entry in ipairs(entries) do
    names[i], members[i] = entry.name, entry.member
    for _, key in ipairs({entry.pending, entry.changes}) do
      ids[key] = ids[key] or {}
      table.insert(ids[key], entry.id)
    end
  end
  redis.call('ZREM', due, unpack(members))
  redis.call('HDEL', bodies, unpack(names))
  redis.call('HDEL', claims, unpack(members))
  for key, of in pairs(ids) do
    redis.call('ZREM', key, unpack(of))
  end
end
