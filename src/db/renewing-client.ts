/** A postgres.js client that survives the loss of its connections. */
import type { Duplex } from 'node:stream'
import type postgres from 'postgres'
import { type AnswerWatch, watchAnswers } from './answer-watch.ts'
import { isUnavailable, within } from './unavailable.ts'

/** A replaced client may finish what it is doing for this long. */
const RETIRE_MS = 3_000
/** The same when everything is closed. */
const CLOSE_SECONDS = 5

export type RenewingClient = { sql: postgres.Sql; close(): Promise<void> }
export type ClientEvents = Required<Pick<postgres.Options<Record<string, postgres.PostgresType>>, 'onclose' | 'onparameter'>>
/** Makes a client that reports its events and takes its sockets from `socket`. */
export type OpenClient = (events: ClientEvents & { socket: (target: SocketTarget) => Duplex }) => postgres.Sql
/** What postgres.js hands to its `socket` option, which its types do not know. */
export type SocketTarget = { host: string[]; port: number[]; path: string | false }

/**
 * postgres.js 3.4.9 reuses the state of a connection that was lost: a statement that was written but not flushed stays in its buffer and stops the next
 * log-in, the last error of the old session fails the first statement of the new one, and a transaction that goes on after the loss writes to a socket
 * that is null, which ends the process. So a client that lost a connection is never used again: a fresh one takes its place at once, the old one finishes
 * its other statements, and transactions are cut off from a lost connection. A client that gets no answer for `silenceMs` loses all its connections.
 */
export function renewingClient(open: OpenClient, connectSocket: (target: SocketTarget) => Duplex, silenceMs?: number): RenewingClient {
  const retiring = new Set<Promise<void>>()
  let closed: Promise<void> | undefined
  let current = fresh()

  function fresh() {
    let connected = false
    const sockets = new Set<Duplex>()
    const watch = watchAnswers(() => {
      for (const socket of sockets) socket.destroy()
    }, silenceMs)
    const lose = () => {
      if (!connected || closed || client !== current.client) return
      const lost = current
      current = fresh()
      retire(lost)
    }
    const client: postgres.Sql = open({
      // Must not reject, nor return what cannot be written to: postgres.js never gets over that. A socket may still be connecting.
      socket: (target) => {
        for (const socket of sockets) if (socket.destroyed) sockets.delete(socket)
        const socket = connectSocket(target)
        const { destroy } = socket
        // A statement given to a connection between its 'error' and its 'close' is never answered, so this must be known before either.
        socket.destroy = (error) => {
          lose()
          return destroy.call(socket, error)
        }
        sockets.add(socket)
        return socket
      },
      // The server reports its parameters when a log-in succeeded. A client that never got so far has nothing to forget and keeps its pauses between attempts.
      onparameter: () => {
        connected = true
      },
      onclose: lose,
    })
    return { client, watch, sockets }
  }

  function retire({ client, watch, sockets }: typeof current): void {
    const done = within(RETIRE_MS, watch.quiet())
      .catch(() => {})
      .then(() => end(client, 0, sockets))
    retiring.add(done)
    void done.then(() => retiring.delete(done))
  }

  function close(): Promise<void> {
    closed ??= Promise.all([end(current.client, CLOSE_SECONDS, current.sockets), ...retiring]).then(() => {})
    return closed
  }

  const sql = new Proxy((() => {}) as unknown as postgres.Sql, {
    apply: (_, __, args) => current.watch.statement(Reflect.apply(current.client, undefined, args)),
    get(_, key) {
      if (key === 'unsafe') return (...args: Parameters<postgres.Sql['unsafe']>) => current.watch.statement(current.client.unsafe(...args))
      if (key === 'begin') return (...args: unknown[]) => begin(current.client, current.watch, args)
      if (key === 'end' || key === 'close') return close
      if (key === 'reserve' || key === 'listen' || key === 'subscribe') throw new Error(`${key} is not offered: it does not survive a lost connection`)
      return Reflect.get(current.client, key)
    },
  })
  return { sql, close }
}

/** Lets a client finish for a while, then ends it. A server that does not answer does not close its connections either, so they are destroyed. */
async function end(client: postgres.Sql, seconds: number, sockets: Set<Duplex>): Promise<void> {
  await client.end({ timeout: seconds }).catch(() => {})
  for (const socket of sockets) socket.destroy()
}

type Work = (tx: postgres.TransactionSql) => unknown

/** `client.begin`, except that nothing reaches the connection once it is lost, and that the transaction cannot be used after its end. */
function begin(client: postgres.Sql, watch: AnswerWatch, args: unknown[]): Promise<unknown> {
  const work = args.at(-1) as Work
  const mode = args.length > 1 ? String(args[0]) : ''
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  let over: { error: unknown } | undefined
  const ended = watch.working()
  // For the answer to "begin", and then to "commit" or "rollback".
  let answered = watch.waiting()

  const outermost = (tx: postgres.TransactionSql) => {
    answered()
    return scope(tx, work).finally(() => {
      answered = watch.waiting()
    })
  }
  client.begin(mode, outermost).then(
    (result) => finish({ error: new Error('this transaction was committed') }, () => resolve(result)),
    (error) => finish({ error }, () => reject(error)),
  )
  return promise

  function finish(how: { error: unknown }, tell: () => void): void {
    over ??= how
    answered()
    ended()
    tell()
  }

  async function scope(tx: postgres.TransactionSql, inner: Work): Promise<unknown> {
    try {
      const result = inner(guarded(tx))
      const value = await (Array.isArray(result) ? Promise.all(result) : result)
      if (!over) return value
    } catch (error) {
      if (!over) throw error
    }
    // postgres.js would send "rollback" or "commit" if this settled.
    return new Promise(() => {})
  }

  function guarded(tx: postgres.TransactionSql): postgres.TransactionSql {
    return new Proxy(tx, {
      apply: (target, _, args) => watched(() => Reflect.apply(target, undefined, args)),
      get(target, key) {
        if (key === 'unsafe') return (...args: Parameters<typeof target.unsafe>) => watched(() => target.unsafe(...args))
        if (key === 'savepoint') {
          return async (...args: unknown[]) => {
            if (over) throw over.error
            const saved = (inner: postgres.TransactionSql) => scope(inner, args.at(-1) as Work)
            return args.length > 1 ? target.savepoint(String(args[0]), saved) : target.savepoint(saved)
          }
        }
        return Reflect.get(target, key)
      },
    })
  }

  function watched<T>(ask: () => T): T {
    if (over) throw over.error
    return watch.statement(ask(), lost)
  }

  function lost(error: unknown): void {
    if ((error as { name?: unknown } | undefined)?.name === 'PostgresError' || !isUnavailable(error)) return
    finish({ error }, () => reject(error))
  }
}
