-- KEYS: shard, due, bodies, claims, then of each log: log, window, ids, earlier ids, pending, changes
-- ARGV: 'stored' or 'waits', then of each entry: number of its log from 0, conversation, id, position,
--   incarnation
local waits = ARGV[1] == 'waits'
local stretch = replication()
if not stretch then
  return redis.error_reply(COPY)
end
local incarnations = {}
local function incarnation_of(log)
  local known = incarnations[log]
  if known == nil then
    local state = redis.call('HMGET', log, 'r', 'i')
    known = state[1] == stretch and state[2] or current(KEYS[1], stretch) or ''
    incarnations[log] = known
  end
  return known
end

local found = {}
for i = 2, #ARGV, 5 do
  local at = 5 + 6 * tonumber(ARGV[i])
  local log, window, ids, earlier = KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
  local id, place = ARGV[i + 2], ARGV[i + 3]
  local incarnation = incarnation_of(log)
  local same = incarnation == ARGV[i + 4]
  local answer = 'known'
  local name = ARGV[i + 1] .. id
  if waits and same then
    -- It stays in the outbox until it is stored.
  elseif clear(KEYS[2], KEYS[3], KEYS[4], KEYS[at + 4], KEYS[at + 5], name, id, place) then
    answer = 'cleared'
    if not same then
      forget(incarnation, log, window, ids, earlier, id, place)
      answer = 'lost'
    end
  elseif not same and redis.call('HGET', ids, id) ~= place
    and redis.call('HGET', earlier, id) ~= place then
    answer = 'lost'
  end
  found[#found + 1] = answer
end
return found
