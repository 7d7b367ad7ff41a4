/** Opens the database: a PostgreSQL server, or the embedded PGlite in a worker thread. Both are spoken to by postgres.js, so there is one code path. */
import { connect as connectSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { arrayTypes } from './array-types.ts'
import { drizzle } from './drizzle.ts'
import { openEmbedded } from './embedded.ts'
import { listenTo } from './listen.ts'
import { type OpenClient, type RenewingClient, renewingClient, type SocketTarget } from './renewing-client.ts'
import * as schema from './schema.ts'
import { syncFiles } from './sync-files.ts'

/** What stores are given. */
export type Db = PostgresJsDatabase<typeof schema>
/** A transaction of it. Inside one use nothing else: the embedded database has one session, and `db` would wait for the end of the transaction for ever. */
export type Tx = Parameters<Parameters<Db['transaction']>[0]>[0]

export type DatabaseOptions =
  | {
      kind: 'postgres'
      /** `postgres://user:password@host:port/name`; the fields below win over its parts. */
      url?: string | undefined
      host?: string | undefined
      port?: number | undefined
      database?: string | undefined
      user?: string | undefined
      password?: string | undefined
      /** True demands TLS with a certificate the system trusts (NODE_EXTRA_CA_CERTS adds one); without it, `sslmode` in the URL decides. */
      tls?: boolean | undefined
      /** Connections for Drizzle; hand-made statements have as many again, and listening has one. */
      poolMax?: number | undefined
      /** See SILENCE_MS. */
      silenceMs?: number | undefined
    }
  | { kind: 'embedded'; dir: string }

export type Database = {
  db: Db
  engine: 'postgres' | 'pglite'
  /** A plain client for hand-made statements, because Drizzle changes the serialisers of its own. On PGlite it shares the one session with `db`. */
  sql: postgres.Sql
  /** Work on a connection of its own, without a limit on the duration of a statement: migrations, session locks. On PGlite there is but one session. */
  apart<T>(work: (db: Db) => Promise<T>): Promise<T>
  /** Hears NOTIFY, and itself once after every time it began to listen, since something may have been missed. Only where there is a server. */
  listen?(channel: string, onNotify: () => void): Listening
  /** Resolves when all that was committed is on the disk: the embedded database does not see to that itself. Only there. */
  sync?(): Promise<void>
  /** Finishes what is being asked, closes every connection, and gives the embedded database's directory back. */
  close(): Promise<void>
}

export type Listening = { close(): Promise<void> }

const POOL_MAX = 4
/** Hand-made statements are the audit log’s, which writes two batches at a time, reservations and few others. */
const PLAIN_POOL_MAX = 4
const CONNECT_SECONDS = 1.5
/** An ordinary statement; one that needs longer sets `statement_timeout` in its transaction, below SILENCE_MS. */
export const STATEMENT_MS = 2_000
const IDLE_IN_TRANSACTION_MS = 10_000
/** Pauses between attempts to connect, doubling: short, so that a database that returns is noticed. */
const BACKOFF_SECONDS = { first: 0.05, most: 0.5 }

type PostgresOptions = Extract<DatabaseOptions, { kind: 'postgres' }>
type ClientOptions = NonNullable<Parameters<typeof postgres>[1]>

const common = {
  onnotice: () => {},
  fetch_types: false,
  types: arrayTypes,
  connect_timeout: CONNECT_SECONDS,
  backoff: (retries: number) => Math.min(BACKOFF_SECONDS.first * 2 ** retries, BACKOFF_SECONDS.most),
  idle_timeout: 0,
  max_lifetime: null,
} satisfies ClientOptions

/**
 * Opens the database. A server need not be up: statements then fail with an error that `isUnavailable`, and succeed once it is. Throws when the settings
 * cannot be right, or when the embedded database cannot be opened.
 */
export async function connect(options: DatabaseOptions): Promise<Database> {
  return options.kind === 'postgres' ? toServer(options) : toEmbedded(options.dir)
}

function toServer(options: PostgresOptions): Database {
  const { poolMax: max = POOL_MAX, silenceMs } = options
  const connection = { statement_timeout: STATEMENT_MS, idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS }
  const open = (extra: ClientOptions) => serverClient(options, extra)
  const socket = serverSockets()
  const client = renewingClient((events) => prepared(open({ ...events, max, connection })), socket, silenceMs)
  const plain = renewingClient((events) => open({ ...events, max: PLAIN_POOL_MAX, connection }), socket, silenceMs)
  const listenings = new Set<Listening>()
  return {
    ...clients('postgres', client, plain),
    async apart(work) {
      const own = renewingClient((events) => open({ ...events, max: 1 }), socket, Number.POSITIVE_INFINITY)
      try {
        return await work(drizzle(own.sql, { schema }))
      } finally {
        await own.close()
      }
    },
    listen(channel, onNotify) {
      const listening = listenTo((events) => open({ ...events, max: 1 }), channel, onNotify)
      listenings.add(listening)
      return listening
    },
    async close() {
      await Promise.all([client.close(), plain.close(), ...[...listenings].map((listening) => listening.close())])
    },
  }
}

async function toEmbedded(dir: string): Promise<Database> {
  const embedded = await openEmbedded(dir)
  const open: OpenClient = (events) => postgres({ ...common, ...events, max: 1, ssl: false } as ClientOptions)
  const socket = () => embedded.socket()
  // A long statement keeps all others waiting, so silence says nothing; a worker that dies takes its connections with it.
  const client = renewingClient((events) => prepared(open(events)), socket, Number.POSITIVE_INFINITY)
  const plain = renewingClient(open, socket, Number.POSITIVE_INFINITY)
  const database = clients('pglite', client, plain)
  let turn: Promise<unknown> = Promise.resolve()
  return {
    ...database,
    // One after the other: session locks do not keep users of the one session apart.
    apart(work) {
      const done = turn.then(() => work(database.db))
      turn = done.catch(() => {})
      return done
    },
    sync: () => syncFiles(dir),
    async close() {
      await Promise.all([client.close(), plain.close()])
      await embedded.close()
    },
  }
}

function clients(engine: Database['engine'], client: RenewingClient, plain: RenewingClient) {
  return { engine, db: drizzle(client.sql, { schema }) as Db, sql: plain.sql }
}

/** Drizzle sets a client's serialisers when it is given the client; one that replaces it needs the same. */
function prepared(client: postgres.Sql): postgres.Sql {
  drizzle(client)
  return client
}

/** Opens sockets as postgres.js would; with several hosts in the URL, the next attempt goes to the next one. */
function serverSockets(): (target: SocketTarget) => Duplex {
  let turn = 0
  return ({ host, port, path }) => {
    if (path) return connectSocket(path)
    const i = turn++ % host.length
    const address = { host: host[i]!, port: port[i]! }
    // postgres.js takes the name that TLS verifies from the socket.
    return Object.assign(connectSocket(address), address)
  }
}

function serverClient(options: PostgresOptions, { connection, ...extra }: ClientOptions): postgres.Sql {
  const { url, host, port, database, user, password, tls } = options
  try {
    // `host` for addresses: postgres.js names no server for them, and the certificate would be checked for "localhost".
    const ssl = tls ? { host: host ?? (url === undefined ? 'localhost' : new URL(url).hostname) } : undefined
    const all = {
      ...common,
      ...defined({ host, port, database, user, password, ssl }),
      connection: { application_name: 'earthflow', ...connection },
      ...extra,
    } as ClientOptions
    return url === undefined ? postgres(all) : postgres(url, all)
  } catch {
    // The original error carries the URL, and with it the password.
    throw new Error('DATABASE_URL is not a PostgreSQL URL such as postgres://user:password@host:5432/name.')
  }
}

function defined<T extends object>(record: T): Partial<T> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as Partial<T>
}
