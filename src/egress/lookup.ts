/** Names to addresses, the way the machine itself would do it, within bounds. */
import { lookup as systemLookup } from 'node:dns/promises'

/** All addresses of a name. Rejects when there are none or the resolver fails. */
export type Lookup = (host: string) => Promise<readonly string[]>

// getaddrinfo blocks one of libuv's four threads for as long as the resolver takes; two stay free for files, hashing and the database.
const AT_ONCE_MAX = 2
const WAITING_MAX = 256
const FRESH_MS = 3_000
const REMEMBERED_MAX = 1_000
const ADDRESSES_MAX = 32

/**
 * The system's resolver and not a DNS client of our own: in Kubernetes the names of model servers come from search domains, and on one
 * machine from /etc/hosts. It cannot be cancelled, so few run at once, questions for the same name share one answer, and answers and
 * failures are remembered for three seconds. Whoever asks must bound its own wait.
 */
export function createLookup(resolve: Lookup = resolveBySystem, now: () => number = Date.now): Lookup {
  const answers = new Map<string, { answer: Promise<readonly string[]>; until: number }>()
  const waiting: (() => void)[] = []
  let running = 0

  const ask = async (host: string): Promise<readonly string[]> => {
    if (running >= AT_ONCE_MAX) {
      if (waiting.length >= WAITING_MAX) throw new Error('Too many names are waiting to be resolved.')
      await new Promise<void>((start) => waiting.push(start)) // whoever finishes hands its place on, so `running` stays
    } else running++
    try {
      return (await resolve(host)).slice(0, ADDRESSES_MAX)
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }

  return (host) => {
    const known = answers.get(host)
    if (known && now() < known.until) return known.answer
    answers.delete(host)
    if (answers.size >= REMEMBERED_MAX) answers.delete(answers.keys().next().value ?? '')
    const entry = { answer: ask(host), until: Number.POSITIVE_INFINITY }
    const settle = (): void => {
      entry.until = now() + FRESH_MS
    }
    entry.answer.then(settle, settle)
    answers.set(host, entry)
    return entry.answer
  }
}

async function resolveBySystem(host: string): Promise<readonly string[]> {
  const found = await systemLookup(host, { all: true, order: 'verbatim' })
  return found.map(({ address }) => address)
}
