-- Which stretch of this server's life this is. See the module `incarnation`.

local function replication()
  local info = redis.call('INFO', 'replication')
  if not string.find(info, 'role:master', 1, true) then
    return nil
  end
  return string.match(info, 'master_replid:(%x+)')
end

-- The shard's incarnation, or nil where none has begun in this stretch.
local function current(shard)
  local marker = redis.call('HMGET', shard, 'r', 'n')
  local id = replication()
  if not id then
    return nil, redis.error_reply('READONLY this server is a copy')
  end
  if marker[1] == id then
    return marker[2]
  end
  return nil
end

-- The shard's incarnation; it begins where none has.
local function begun(shard)
  local known, copy = current(shard)
  if known or copy then
    return known, copy
  end
  local id = replication()
  local time = redis.call('TIME')
  local hash = redis.sha1hex(id .. ':' .. time[1] .. ':' .. time[2] .. ':' .. shard)
  -- 52 bits: exact as a number of Lua.
  local number = string.format('%.0f', tonumber(string.sub(hash, 1, 13), 16))
  redis.call('HSET', shard, 'r', id, 'n', number)
  return number
end

local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end
