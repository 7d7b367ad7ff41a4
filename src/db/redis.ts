/** The connection to Redis. It comes back by itself, nobody waits for it, and one that hangs is noticed and replaced. */
import { hash } from 'node:crypto'

/** A Lua script, run by its hash. */
export interface Script {
  readonly source: string
  readonly sha: string
}

export const scriptOf = (source: string): Script => ({ source, sha: hash('sha1', source) })

export interface RedisConnection {
  /** Whether commands can be sent at this moment. */
  readonly isReady: boolean
  /** Sends a command. Rejects at once where there is no connection, and when the connection is lost before an answer came; a time-out is the caller's. */
  send(command: readonly string[]): Promise<unknown>
  /** Runs a script, and loads it where Redis has forgotten it. Rejects as `send` does. */
  run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown>
  /** Ends the connection; commands under way reject. May be called twice. */
  close(): void
}

export interface RedisOptions {
  /** `redis://user:password@host:6379/0`, or `rediss://` with TLS and a verified certificate. */
  url: string
  /** Called when Redis comes and goes, once each time: `reason` is a code such as ECONNREFUSED or WRONGPASS, never an address or a password. */
  onChange: (change: { isReady: boolean; reason: string | null }) => void
}

const CONNECT_MS_MAX = 1_000
/** The pause before the next attempt doubles up to this, so that Redis is found again well within five seconds. */
const RETRY_MS_MIN = 50
const RETRY_MS_MAX = 500
/** A connection on which nothing moved for so long hangs, since a question goes out every PING_MS. */
const SILENCE_MS_MAX = 2_500
const PING_MS = 1_000
/** Commands under way at once; one more is refused. */
const COMMANDS_MAX = 10_000

/** Resolves once the first attempt ended, well or not. Throws only where the URL is none. */
export async function connectRedis({ url, onChange }: RedisOptions): Promise<RedisConnection> {
  // The error of a parser would quote the URL, and with it the password.
  if (!URL.canParse(url)) throw new Error('The address of Redis is not a URL.')
  const { createClient } = await import('@redis/client') // Takes 0.2 s to load, which only those pay who use it.
  const client = createClient({
    url,
    RESP: 2,
    disableClientInfo: true,
    disableOfflineQueue: true,
    commandsQueueMaxLength: COMMANDS_MAX,
    pingInterval: PING_MS,
    socket: {
      connectTimeout: CONNECT_MS_MAX,
      socketTimeout: SILENCE_MS_MAX,
      reconnectStrategy: (retries) => Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(retries, 10)),
    },
    // The library's own time-out would arm a signal for every command.
    commandOptions: { timeout: 0 },
  })
  let isClosed = false
  let wasReady: boolean | null = null
  const changed = (isReady: boolean, reason: string | null): void => {
    if (isReady === wasReady) return
    wasReady = isReady
    onChange({ isReady, reason })
  }
  const attempted = new Promise<void>((resolve) => client.once('ready', resolve).once('error', () => resolve()))
  // The library finishes a connection that was being made when the client was destroyed, and its pings would keep the process alive.
  client.on('connect', () => {
    if (isClosed) client.destroy()
  })
  client.on('ready', () => changed(true, null))
  client.on('error', (error: unknown) => {
    // A refused ping is an error too; what it means is for those to find out who ask for something.
    if (!client.isReady) changed(false, codeOf(error))
  })
  client.connect().catch(() => {}) // Goes on until closed; every error was reported above.
  await attempted

  const send = (command: readonly string[]): Promise<unknown> => client.sendCommand(command)
  return {
    get isReady() {
      return client.isReady
    },
    send,
    async run({ source, sha }, keys, args) {
      const count = String(keys.length)
      try {
        return await send(['EVALSHA', sha, count, ...keys, ...args])
      } catch (error) {
        if (codeOf(error) !== 'NOSCRIPT') throw error
        return send(['EVAL', source, count, ...keys, ...args])
      }
    },
    close() {
      isClosed = true
      client.destroy()
    },
  }
}

/** The operating system's code, the first word of what Redis answered, or else the kind of the error. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'UNKNOWN'
  const { code } = error as NodeJS.ErrnoException
  return typeof code === 'string' ? code : (/^[A-Z]{2,}\b/.exec(error.message)?.[0] ?? error.constructor.name)
}
