-- KEYS: shard, due, bodies, claims, log, window, ids, pending, changes
-- ARGV: conversation, id, position
local incarnation, copy = current(KEYS[1])
if copy then
  return copy
end
local position = tonumber(ARGV[3])
clear(KEYS[2], KEYS[3], KEYS[4], KEYS[8], KEYS[9], ARGV[1], ARGV[2], position)
forget(incarnation, KEYS[5], KEYS[6], KEYS[7], ARGV[2], position)
return 1
