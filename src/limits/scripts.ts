/**
 * What runs in Redis, each as one step. A bucket and a day are a string `value at`: of a bucket what was left then, of a day what was taken by then.
 * Permits are a sorted set of call ids by the time their lease ends. Every key has a TTL, after which it means what a missing key means: nothing taken.
 * The clock is Redis's own, in milliseconds with a fraction. Where it went back, nothing flows in and the state is written with the new time, so that
 * nobody gains and nobody waits for the old time to come again.
 */
import { type Script, scriptOf } from '../db/redis.ts'
import { DAY_MS, LEASE_MS, RESERVATION_MS } from './limit.ts'

/** No key stays longer, whatever is owed. */
const TTL_MS_MAX = 31 * DAY_MS
/** A key outlives its meaning by this much, so that no rounding ends it early. */
const TTL_MS_MORE = 1_000
/** Leases set right in one step after the clock went back. */
const AHEAD_MAX = 100

const clock = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local at = string.format('%.3f', now)
`

const levels = `${clock}
local DAY, LEASE = ${DAY_MS}, ${LEASE_MS}

-- What is left of a limit, and whether its state was written by a clock ahead of this one.
local function level_of(key, per, most, refill)
  if per == 'lease' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', at)
    return most - redis.call('ZCARD', key), false
  end
  local state = redis.call('GET', key)
  if not state then return most, false end
  local value, since = string.match(state, '(%S+) (%S+)')
  value, since = tonumber(value), tonumber(since)
  if per == 'day' then
    if math.floor(now / DAY) > math.floor(since / DAY) then value = 0 end
    return most - value, since > now
  end
  return math.min(most, value + math.max(0, now - since) * refill), since > now
end

local function keep_level(key, per, most, refill, level)
  if most <= 0 then return end
  local value, ttl = level, (most - level) / refill
  if per == 'day' then value, ttl = most - level, DAY - now % DAY end
  redis.call('SET', key, string.format('%.17g %s', value, at), 'PX', math.ceil(math.min(ttl, ${TTL_MS_MAX})) + ${TTL_MS_MORE})
end
`

/**
 * KEYS: one for each limit, then the call's reservation where it has one. ARGV: the time after which nothing may happen, the call's id, then for each
 * limit its cost, per, capacity and refill. Answers late, taken or refused, the time, and what is left of each limit.
 */
export const takeScript: Script = scriptOf(`${levels}
if now > tonumber(ARGV[1]) then return { 'late', at } end
local id, limits = ARGV[2], (#ARGV - 2) / 4
local left, ahead, taken = {}, {}, true

for i = 1, limits do
  local cost, per, most, refill = tonumber(ARGV[i * 4 - 1]), ARGV[i * 4], tonumber(ARGV[i * 4 + 1]), tonumber(ARGV[i * 4 + 2])
  left[i], ahead[i] = level_of(KEYS[i], per, most, refill)
  if cost > 0 and left[i] < cost - (0.000001 + refill / 1000) then taken = false end
end

local answer = { taken and 'taken' or 'refused', at }
for i = 1, limits do
  local cost, per, most, refill = tonumber(ARGV[i * 4 - 1]), ARGV[i * 4], tonumber(ARGV[i * 4 + 1]), tonumber(ARGV[i * 4 + 2])
  if taken then
    left[i] = left[i] - cost
    if per == 'lease' then
      redis.call('ZADD', KEYS[i], string.format('%.3f', now + LEASE), id)
      redis.call('PEXPIRE', KEYS[i], LEASE)
    elseif cost > 0 then
      keep_level(KEYS[i], per, most, refill, left[i])
    end
  elseif ahead[i] then
    keep_level(KEYS[i], per, most, refill, left[i])
  elseif per == 'lease' and left[i] < cost then
    local latest = string.format('%.3f', now + LEASE)
    for _, holder in ipairs(redis.call('ZRANGEBYSCORE', KEYS[i], '(' .. latest, '+inf', 'LIMIT', 0, ${AHEAD_MAX})) do
      redis.call('ZADD', KEYS[i], latest, holder)
    end
  end
  answer[i + 2] = string.format('%.17g', left[i])
end
if taken and KEYS[limits + 1] then redis.call('SET', KEYS[limits + 1], at, 'PX', ${RESERVATION_MS}) end
return answer
`)

/** Stands in place of a call's id where a process tells what it took by itself. */
export const OWED = 'owed'

/**
 * KEYS: one for each limit, then the call's reservation where it has one; without its reservation a call gives back permits only, so that what was
 * settled once, or too long ago, is not settled again. What is owed is told under a mark instead, and once. ARGV: when it was taken, the call's id, then
 * for each limit what it gives back (less than 0: what it owes), per, capacity and refill. Answers as above.
 */
export const giveBackScript: Script = scriptOf(`${levels}
local id, limits = ARGV[2], (#ARGV - 2) / 4
local day_taken = math.floor(tonumber(ARGV[1]) / DAY)
local mark, is_open = KEYS[limits + 1], true
if mark and id == '${OWED}' then
  is_open = redis.call('SET', mark, at, 'NX', 'PX', ${RESERVATION_MS})
elseif mark then
  is_open = redis.call('DEL', mark) == 1
end
local answer = { 'taken', at }
for i = 1, limits do
  local key, amount, per, most, refill = KEYS[i], tonumber(ARGV[i * 4 - 1]), ARGV[i * 4], tonumber(ARGV[i * 4 + 1]), tonumber(ARGV[i * 4 + 2])
  if per == 'lease' then redis.call('ZREM', key, id) end
  local left = level_of(key, per, most, refill)
  if per ~= 'lease' and amount ~= 0 and is_open and (per == 'minute' or day_taken == math.floor(now / DAY)) then
    left = math.min(most, left + amount)
    keep_level(key, per, most, refill, left)
  end
  answer[i + 2] = string.format('%.17g', left)
end
return answer
`)

/** KEYS: the limit. ARGV: the time after which nothing may happen, then the ids of calls that hold a permit of it. Permits that Redis lost come back. */
export const renewScript: Script = scriptOf(`${clock}
if now > tonumber(ARGV[1]) then return { 'late', at } end
local latest, scored = string.format('%.3f', now + ${LEASE_MS}), {}
for i = 2, #ARGV do
  scored[#scored + 1] = latest
  scored[#scored + 1] = ARGV[i]
end
redis.call('ZADD', KEYS[1], unpack(scored))
redis.call('PEXPIRE', KEYS[1], ${LEASE_MS})
return { 'taken', at }
`)

/** A command that only a Redis obeys which may be written to; so it tells whether calls would be counted. */
export const probe: readonly string[] = ['SET', 'ef:probe', '1', 'PX', String(TTL_MS_MORE)]
