-- Which stretch of this server's life this is. See the module `incarnation`.

local COPY = 'READONLY this server is a copy'

-- The replication id, or nil on a copy.
local function replication()
  local info = redis.call('INFO', 'replication')
  if string.find(info, 'role:master', 1, true) then
    return string.match(info, 'master_replid:(%x+)')
  end
  return nil
end
