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

local found, looked, members = {}, {}, {}
for i = 2, #ARGV, 5 do
  local at = 5 + 6 * tonumber(ARGV[i])
  local log, id, place = KEYS[at], ARGV[i + 2], ARGV[i + 3]
  local same = incarnation_of(log) == ARGV[i + 4]
  found[#found + 1] = 'known'
  -- What waits stays in the outbox until it is stored.
  if not (waits and same) then
    local name = ARGV[i + 1] .. id
    members[#members + 1] = name .. place
    looked[#looked + 1] = {
      at = #found, same = same, name = name, member = name .. place, id = id, place = place,
      log = log, window = KEYS[at + 1], ids = KEYS[at + 2], earlier = KEYS[at + 3],
      pending = KEYS[at + 4], changes = KEYS[at + 5],
    }
  end
end
if #looked == 0 then
  return found
end

local due = redis.call('ZMSCORE', KEYS[2], unpack(members))
local cleared = {}
for i, entry in ipairs(looked) do
  if due[i] then
    cleared[#cleared + 1] = entry
    found[entry.at] = entry.same and 'cleared' or 'lost'
  elseif not entry.same and redis.call('HGET', entry.ids, entry.id) ~= entry.place
    and redis.call('HGET', entry.earlier, entry.id) ~= entry.place then
    found[entry.at] = 'lost'
  end
end
clear(KEYS[2], KEYS[3], KEYS[4], cleared)
for _, entry in ipairs(cleared) do
  if not entry.same then
    forget(incarnation_of(entry.log), entry.log, entry.window, entry.ids, entry.earlier, entry.id,
      entry.place)
  end
end
return found
