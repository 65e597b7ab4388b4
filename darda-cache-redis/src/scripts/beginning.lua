-- The shard's incarnation, or nil where none has begun in this stretch.
local function current(shard, stretch)
  local marker = redis.call('HMGET', shard, 'r', 'n')
  return marker[1] == stretch and marker[2] or nil
end

-- The shard's incarnation; it begins where none has.
local function begun(shard, stretch)
  local number = current(shard, stretch)
  if not number then
    local time = redis.call('TIME')
    local hash = redis.sha1hex(stretch .. ':' .. time[1] .. ':' .. time[2] .. ':' .. shard)
    -- 52 bits: exact as a number of Lua.
    number = string.format('%016.0f', tonumber(string.sub(hash, 1, 13), 16))
    redis.call('HSET', shard, 'r', stretch, 'n', number)
  end
  return number
end
