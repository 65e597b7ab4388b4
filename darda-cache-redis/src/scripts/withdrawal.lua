-- Takes an entry out of a log's memory and window. The outbox is the caller's.
local function forget(incarnation, log, window, ids, id, position)
  local place = string.format('%.0f', position)
  local state = redis.call('HMGET', log, 'o', 'h', 'm')
  local given = redis.call('ZSCORE', ids, id)
  if given and tonumber(given) == position then
    redis.call('ZREM', ids, id)
    if state[1] == id then
      redis.call('HSET', log, 'e', '0', 't', '0', 'o', '')
    end
  end
  local there = redis.call('XRANGE', window, place .. '-0', place .. '-0')[1]
  if not there or string.sub(there[2][2], 1, 16) ~= id then
    return
  end
  redis.call('XDEL', window, place .. '-0')
  if state[2] == place then
    -- An older incarnation's entry need not be the newest of the log.
    local newest = redis.call('XREVRANGE', window, '+', '-', 'COUNT', 1)[1]
    local head = ''
    if newest and tonumber(string.sub(newest[2][2], 65, 80)) == tonumber(incarnation) then
      head = string.match(newest[1], '^%d+')
    end
    redis.call('HSET', log, 'h', head)
  end
  if state[3] == place then
    local message = ''
    local from = '+'
    while message == '' do
      local some = redis.call('XREVRANGE', window, from, '-', 'COUNT', 16)
      for _, entry in ipairs(some) do
        if message == '' and string.sub(entry[2][2], 81, 81) == 'm' then
          message = string.match(entry[1], '^%d+')
        end
      end
      if #some < 16 then
        break
      end
      from = '(' .. some[#some][1]
    end
    redis.call('HSET', log, 'm', message)
  end
end

-- Takes an entry out of the outbox, if it is there at this position.
local function clear(due, bodies, claims, pending, changes, conversation, id, position)
  local given = redis.call('ZSCORE', pending, id)
  if not given or tonumber(given) ~= position then
    return false
  end
  local member = conversation .. id .. string.format('%016.0f', position)
  redis.call('ZREM', pending, id)
  redis.call('HDEL', bodies, conversation .. id)
  redis.call('ZREM', due, member)
  redis.call('ZREM', changes, id)
  redis.call('HDEL', claims, member)
  return true
end
