-- KEYS: shard, due, bodies, claims, then of each log: log, window, ids, pending, changes
-- ARGV: of each entry: number of its log from 0, conversation, id, position, incarnation
local incarnation, copy = current(KEYS[1])
if copy then
  return copy
end
local found = {}
for i = 1, #ARGV, 5 do
  local at = 5 + 5 * tonumber(ARGV[i])
  local log, window, ids, pending, changes =
    KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3], KEYS[at + 4]
  local conversation, id, position = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local same = incarnation == ARGV[i + 4]
  local answer = 'known'
  if clear(KEYS[2], KEYS[3], KEYS[4], pending, changes, conversation, id, position) then
    answer = 'cleared'
    if not same then
      forget(incarnation, log, window, ids, id, position)
      answer = 'lost'
    end
  elseif not same then
    local given = redis.call('ZSCORE', ids, id)
    if not given or tonumber(given) ~= position then
      answer = 'lost'
    end
  end
  found[#found + 1] = answer
end
return found
