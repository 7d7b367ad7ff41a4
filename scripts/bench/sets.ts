/** What is measured together: servers that run at the same time, in turns. */
import { configurations, OFF, ON } from './earthflow/configurations.ts'

export interface BenchSet {
  name: string
  about: string
  servers: readonly string[]
  /** So many at once beside `beside`; more would disturb each other even when nobody calls them. */
  groupsOf: number
  beside: readonly string[]
  cases: readonly string[]
  roundsMax: number
  /** Calls before the first round: a JIT compiler has settled by then. */
  warmCalls: number
}

const PEERS = ['direct', 'nginx', 'haproxy', 'portkey'] as const
const all = { groupsOf: Number.POSITIVE_INFINITY, beside: [], roundsMax: Number.POSITIVE_INFINITY, warmCalls: 20_000 }

const ofOtherSets = new Set([OFF, ON])
const steps = configurations.filter(({ name, setup }) => !ofOtherSets.has(name) && !setup.isTls && !setup.isUnpinned && setup.database === 'postgres')

export const benchSets: readonly BenchSet[] = [
  {
    ...all,
    name: 'beside',
    about: 'Earthflow with governance off and on beside all others',
    servers: [...PEERS, OFF, ON],
    cases: ['plain', 'one', 'thousand', '64k', 'agent-first', 'agent-repeated', '1m', 'stream', 'rate-500', 'rate-1000'],
  },
  // Servers that have answered little: what streams take is not hidden in what other calls took before.
  { ...all, name: 'paced', about: 'a thousand streams', servers: [...PEERS, OFF, ON], cases: ['paced'], warmCalls: 1_000 },
  {
    ...all,
    name: 'steps',
    about: 'one thing after the other on',
    servers: [OFF, ...steps.slice(0, 7).map(({ name }) => name), ON, ...steps.slice(7).map(({ name }) => name)],
    groupsOf: 4,
    beside: ['nginx'],
    cases: ['plain'],
    roundsMax: 2,
    warmCalls: 10_000,
  },
  { ...all, name: 'tls', about: 'over TLS', servers: ['nginx', 'nginx-tls', 'haproxy-tls', OFF, `${OFF}-tls`, ON, `${ON}-tls`], cases: ['plain'] },
  {
    ...all,
    name: 'workers',
    about: 'one worker and two, on any core',
    servers: [`${OFF}-1`, `${OFF}-2`, `${ON}-1`, `${ON}-2`],
    cases: ['plain'],
    roundsMax: 2,
  },
]

/** The first minute of the bench. */
export const quickSet: BenchSet = {
  ...all,
  name: 'quick',
  about: 'the most of it in a minute',
  servers: ['direct', 'nginx', 'portkey', OFF, ON],
  cases: ['plain', '64k'],
  warmCalls: 10_000,
}
/** What bench:check looks at. */
export const checkSet: BenchSet = {
  ...all,
  name: 'check',
  about: 'what is compared with the recorded run',
  servers: ['nginx', 'haproxy', 'portkey', OFF, ON],
  cases: ['plain', '64k', 'stream'],
}

/** What the short proof looks at. */
export const shortSet: BenchSet = {
  ...all,
  name: 'short',
  about: 'that all of it works',
  servers: ['direct', 'nginx', 'haproxy', OFF, ON],
  cases: ['plain', 'stream', '64k'],
  warmCalls: 1_000,
}

/** Throws a sentence where there is none of that name. */
export function setNamed(name: string): BenchSet {
  const one = benchSets.find((each) => each.name === name)
  if (!one) throw new Error(`There is no set ${name}; there is ${benchSets.map((each) => each.name).join(', ')}.`)
  return one
}
