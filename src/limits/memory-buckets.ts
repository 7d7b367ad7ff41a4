/** Counts in the memory of this process: where there is no Redis, while Redis is away, and to remember what Redis last said. */
import { newId } from '../ids.ts'
import { Answer, Counter } from './answer.ts'
import type { Leases } from './leases.ts'
import { Result } from './library.ts'
import { amountBack, costOf, type Demand, dayOf, type GiveBack, holds, type Limit, leaseKeysOf } from './limit.ts'

/**
 * Of more limits than this the one unused for longest starts afresh; those of users, whom callers name as they like, are apart from those of tenants,
 * keys, agents and models. Permits are not among them: they are never forgotten while held.
 */
const LIMITS_MAX = 100_000
/** Takings and givings back that Redis does not know of; of more it is never told. */
const OWED_MAX = 10_000
/** What Redis said of all processes is believed for so long: another may have given something back since. */
const BELIEVED_MS = 2_000

export interface MemoryOptions {
  /** Milliseconds, from a clock that does not jump. */
  now: () => number
  /** Milliseconds since 1970. */
  wallNow: () => number
  leases: Leases
  /** Among how many processes a limit is divided. */
  parts: () => number
  limitsMax?: number
}

interface Entry {
  /** Of a minute what is left, of a day what was taken. */
  value: number
  /** When that was so. */
  at: number
  /** What all processes together had taken of the day when this one began to count by itself. */
  before: number
  /** What this one took of the minute since it began to count by itself. */
  alone: number
  /** When Redis said so, of all processes together; null where this one counts by itself. */
  saidAt: number | null
}

/** Something to charge a limit with; less than 0: to give back to it. */
export interface Owed {
  limit: Limit
  amount: number
  /** When it was taken: no other day is charged. */
  takenAt: number
  /** Where Redis remembers that it was told, in case its answer is lost. */
  mark: string
}

export class MemoryBuckets extends Counter {
  readonly #entries = new Map<string, Entry>()
  readonly #ofUsers = new Map<string, Entry>()
  #owed: Owed[] = []
  readonly #options: MemoryOptions
  readonly #limitsMax: number

  constructor(options: MemoryOptions) {
    super()
    this.#options = options
    this.#limitsMax = options.limitsMax ?? LIMITS_MAX
  }

  override async consume(_key: string, _points: number, demand: Demand): Promise<Answer> {
    const answer = this.take(demand)
    if (!answer.taken) throw answer
    return answer
  }

  override async reward(_key: string, _points: number, back: GiveBack): Promise<Result> {
    this.giveBack(back)
    return new Result()
  }

  /** Takes all or nothing. */
  take(demand: Demand): Answer {
    const { limits, tokens } = demand
    const { leases, wallNow } = this.#options
    const parts = this.#parts()
    const entries: (Entry | null)[] = []
    const levels: number[] = []
    let taken = true
    for (let i = 0; i < limits.length; i++) {
      const limit = limits[i]
      const cost = costOf(limit, tokens)
      const entry = limit.per === null ? null : this.#entryOf(limit)
      const level = entry === null ? this.#permitsOf(limit, parts) : this.#bringUp(limit, entry, cost, parts)
      entries.push(entry)
      levels.push(level)
      taken &&= holds(limit, level, cost)
    }
    if (taken) {
      for (let i = 0; i < limits.length; i++) {
        const cost = costOf(limits[i], tokens)
        levels[i] -= cost
        this.#add(limits[i], entries[i], -cost)
      }
      leases.hold(demand.id, leaseKeysOf(demand))
    }
    return new Answer({ taken, levels, at: wallNow(), parts, mode: 'local' })
  }

  giveBack(back: GiveBack): void {
    const parts = this.#parts()
    const isSameDay = dayOf(this.#options.wallNow()) === dayOf(back.takenAt)
    for (const limit of back.demand.limits) {
      const amount = amountBack(limit, back)
      if (amount === 0 || (limit.per === 'day' && !isSameDay)) continue
      if (typeof this.#entriesOf(limit).get(limit.key)?.saidAt === 'number') {
        // Redis counts again, and was told what this process took.
        this.#owe(limit, -amount)
        continue
      }
      if (limit.per === null) continue
      const entry = this.#entryOf(limit)
      this.#bringUp(limit, entry, 0, parts)
      this.#add(limit, entry, amount)
    }
  }

  /** Remembers what Redis said: what is left of these limits for all processes together. */
  learn(limits: readonly Limit[], levels: readonly number[]): void {
    const saidAt = this.#options.now()
    const parts = this.#parts()
    for (const [index, limit] of limits.entries()) {
      if (limit.per === null) continue
      const entry = this.#entryOf(limit)
      const now = this.#nowOf(limit)
      if (entry.saidAt === null) this.#owe(limit, takenAlone(limit, entry, { now, parts }))
      entry.value = limit.per === 'day' ? limit.capacity - levels[index] : levels[index]
      entry.at = now
      entry.alone = 0
      entry.saidAt = saidAt
      this.#keep(limit, entry)
    }
  }

  get isOwing(): boolean {
    return this.#owed.length > 0
  }

  /** What this process took by itself of limits that Redis counts again. Handed out once, unless it is kept again. */
  takeOwed(): Owed[] {
    return this.#owed.splice(0)
  }

  keepOwed(owed: Owed): void {
    if (this.#owed.length < OWED_MAX) this.#owed.push(owed)
  }

  /** What is left of these limits as far as this process knows; what it does not know is full. Takes nothing. */
  peek(limits: readonly Limit[], whose: 'of this process' | 'of all processes'): { levels: number[]; at: number; parts: number; areFresh: boolean[] } {
    const isOwn = whose === 'of this process'
    const parts = isOwn ? this.#parts() : 1
    const levels: number[] = []
    const areFresh: boolean[] = []
    for (const limit of limits) {
      const entry = this.#entriesOf(limit).get(limit.key)
      const counts = entry !== undefined && (isOwn || entry.saidAt !== null)
      levels.push(
        counts
          ? levelOf(limit, isOwn ? ownOf(limit, entry, parts) : entry, { cost: costOf(limit, 0), now: this.#nowOf(limit), parts })
          : limit.capacity / parts,
      )
      areFresh.push(counts && (entry.saidAt === null || this.#options.now() - entry.saidAt <= BELIEVED_MS))
    }
    return { levels, at: this.#options.wallNow(), parts, areFresh }
  }

  #owe(limit: Limit, amount: number): void {
    if (amount !== 0) this.keepOwed({ limit, amount, takenAt: this.#options.wallNow(), mark: markBeside(limit.key) })
  }

  #parts(): number {
    return Math.max(1, Math.floor(this.#options.parts()) || 1)
  }

  #nowOf({ per }: Limit): number {
    return per === 'day' ? this.#options.wallNow() : this.#options.now()
  }

  /** Those of this process that are free. */
  #permitsOf({ capacity, key }: Limit, parts: number): number {
    return Math.min(capacity, Math.max(1, Math.floor(capacity / parts))) - this.#options.leases.count(key)
  }

  /** Brings the entry up to now, and says what is left for a call of this cost. What is refused keeps no entry by it, so that it pushes out nobody. */
  #bringUp(limit: Limit, entry: Entry, cost: number, parts: number): number {
    if (entry.saidAt !== null) Object.assign(entry, ownOf(limit, entry, parts))
    const now = this.#nowOf(limit)
    const level = levelOf(limit, entry, { cost, now, parts })
    if (limit.per === 'minute') entry.value = level
    else if (dayOf(now) > dayOf(entry.at)) entry.value = entry.before = 0
    entry.at = now
    return level
  }

  /** Puts something in, or takes it out, after the entry was brought up to now. */
  #add(limit: Limit, entry: Entry | null, amount: number): void {
    if (!entry) return
    this.#keep(limit, entry)
    if (limit.per === 'minute') {
      entry.value = Math.min(limit.capacity, entry.value + amount)
      entry.alone = Math.max(0, entry.alone - amount)
    } else entry.value = Math.max(0, entry.value - amount)
  }

  #keep(limit: Limit, entry: Entry): void {
    const entries = this.#entriesOf(limit)
    // Set again at the end of the map's order, so that its first key is the one unused for longest.
    entries.delete(limit.key)
    entries.set(limit.key, entry)
    if (entries.size > this.#limitsMax) entries.delete(entries.keys().next().value as string)
  }

  /** The one that is kept, else one of which nothing was taken. */
  #entryOf(limit: Limit): Entry {
    return (
      this.#entriesOf(limit).get(limit.key) ?? {
        value: limit.per === 'minute' ? limit.capacity : 0,
        at: this.#nowOf(limit),
        before: 0,
        alone: 0,
        saidAt: null,
      }
    )
  }

  #entriesOf({ subject }: Limit): Map<string, Entry> {
    return subject === 'user' ? this.#ofUsers : this.#entries
  }
}

/** With the hash tag of the limit's tenant, so that one script may touch both. */
const markBeside = (key: string): string => `${key}:${newId('owed')}`

/** This process's part of what Redis last said of all. */
const ownOf = ({ per }: Limit, entry: Entry, parts: number): Entry =>
  entry.saidAt === null ? entry : per === 'minute' ? { ...entry, value: entry.value / parts, saidAt: null } : { ...entry, before: entry.value, saidAt: null }

/** What Redis must be charged with, as it counts again. What flowed into this process's part meanwhile flowed into the whole too: of a minute no more than is missing. */
function takenAlone(limit: Limit, entry: Entry, { now, parts }: { now: number; parts: number }): number {
  if (limit.per === 'day') return dayOf(entry.at) === dayOf(now) ? entry.value - entry.before : 0
  return Math.max(0, Math.min(entry.alone, limit.capacity / parts - levelOf(limit, entry, { cost: 0, now, parts })))
}

/**
 * What is left of this process's part. No cost is above a part that is not above the whole. A clock that went back refills nothing; a day that began
 * anew does.
 */
function levelOf(
  { per, capacity, refillPerMs }: Limit,
  { value, at, before }: Entry,
  { cost, now, parts }: { cost: number; now: number; parts: number },
): number {
  if (per === 'minute') {
    const part = capacity / parts
    const most = cost > capacity ? part : Math.max(cost, part)
    return Math.min(most, value + (Math.max(0, now - at) * refillPerMs) / parts)
  }
  const isNewDay = dayOf(now) > dayOf(at)
  const then = isNewDay ? 0 : before
  return Math.min(capacity, then + Math.max(cost, Math.floor((capacity - then) / parts))) - (isNewDay ? 0 : value)
}
