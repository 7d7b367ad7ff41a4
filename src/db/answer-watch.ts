/** Notices that a server no longer answers: a host that vanished or a stopped process keeps its connections open, for TCP a quarter of an hour long. */

/** Longer than any ordinary statement may take. */
export const SILENCE_MS = 10_000
const LOOK_EVERY_MS = 1_000

export type AnswerWatch = {
  /** Follows a statement of postgres.js from its execution to its end, and reports its error first. Returns it. */
  statement<T>(query: T, onError?: (error: unknown) => void): T
  /** Follows something else that waits for the server; call the result when it has its answer. */
  waiting(): () => void
  /** Marks a transaction, which is work even while it asks nothing; call the result at its end. */
  working(): () => void
  /** Resolves when nothing is asked and no transaction is open. */
  quiet(): Promise<void>
}

/** The inside of postgres.js' Query, as far as it is needed. Not `then`: listening to a query runs it, and a fragment must not run. */
type Query = { handle?(): unknown; resolve(value: unknown): void; reject(error: unknown): void; state?: unknown }
type Asked = { query?: Query; since: number | undefined }

/**
 * Calls `onSilence` once, when a statement that reached a connection has had no answer for `silenceMs`, or when anything at all has waited that long and
 * nothing was answered meanwhile. Time spent in a queue behind statements that are answered is overload, not silence.
 */
export function watchAnswers(onSilence: () => void, silenceMs: number = SILENCE_MS): AnswerWatch {
  const asked = new Set<Asked>()
  const waitingForQuiet: (() => void)[] = []
  let answeredAt = performance.now()
  let timer: NodeJS.Timeout | undefined

  function begin(entry: Asked): void {
    asked.add(entry)
    if (Number.isFinite(silenceMs)) timer ??= setInterval(look, Math.min(LOOK_EVERY_MS, silenceMs)).unref()
  }

  function end(entry: Asked): void {
    answeredAt = performance.now()
    asked.delete(entry)
    if (asked.size === 0) stop()
  }

  function track(entry: Asked): () => void {
    begin(entry)
    return () => end(entry)
  }

  function stop(): void {
    clearInterval(timer)
    timer = undefined
    for (const resolve of waitingForQuiet.splice(0)) resolve()
  }

  function look(): void {
    const now = performance.now()
    for (const entry of asked) {
      // Set once it was handed to a connection.
      if (entry.query?.state) entry.since ??= now
      const silent = entry.since !== undefined && now - entry.since >= silenceMs && (entry.query !== undefined || now - answeredAt >= silenceMs)
      if (!silent) continue
      asked.clear()
      stop()
      onSilence()
      return
    }
  }

  return {
    statement(query, onError) {
      const inner = query as Partial<Query>
      const { handle, resolve, reject } = inner
      if (!handle || !resolve || !reject) return query
      const entry: Asked = { query: inner as Query, since: undefined }
      inner.handle = () => {
        inner.handle = handle
        begin(entry)
        return handle.call(inner)
      }
      inner.resolve = (value) => {
        end(entry)
        resolve(value)
      }
      inner.reject = (error) => {
        end(entry)
        onError?.(error)
        reject(error)
      }
      return query
    },
    waiting: () => track({ since: performance.now() }),
    working: () => track({ since: undefined }),
    quiet: () => (asked.size === 0 ? Promise.resolve() : new Promise((resolve) => waitingForQuiet.push(resolve))),
  }
}
