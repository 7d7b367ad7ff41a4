/**
 * The worker thread the embedded database runs in: on the main thread it starves the event loop (a 1 ms timer fired 0 times in 500 ms of inserts).
 * Each port that arrives is one connection. PGlite has a single session, so connections take turns, and one keeps its turn until the engine is idle again:
 * a transaction, or a statement sent in two parts, is never mixed with another's.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'

export type ToWorker = { kind: 'connection'; port: MessagePort } | { kind: 'close' }
export type FromWorker = { kind: 'ready' } | { kind: 'failed'; message: string }

/** What postgres.js sends; null when the connection is gone. */
type Connection = { port: MessagePort; inbox: (Uint8Array | null)[] }

const TERMINATE = 0x58 // X
const SYNC = Uint8Array.of(0x53, 0, 0, 0, 4)
const ROLLBACK = Uint8Array.from([0x51, 0, 0, 0, 13, ...Buffer.from('ROLLBACK\0')])
/** ReadyForQuery with status idle. Every answer to a Sync ends with ReadyForQuery, and nothing else ends with these bytes. */
const IDLE = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])

const parent = parentPort!
const connections = new Set<Connection>()
let holder: Connection | undefined
let busy = false
let closing = false

try {
  const engine = await PGlite.create({ dataDir: workerData.dir })
  parent.on('message', (message: ToWorker) => {
    if (message.kind === 'connection') accept(engine, message.port)
    else {
      closing = true
      void serve(engine)
    }
  })
  tell({ kind: 'ready' })
} catch (error) {
  tell({ kind: 'failed', message: error instanceof Error ? error.message : String(error) })
}

function tell(message: FromWorker): void {
  parent.postMessage(message)
}

function accept(engine: PGlite, port: MessagePort): void {
  const connection: Connection = { port, inbox: [] }
  connections.add(connection)
  port.on('message', (bytes: Uint8Array) => {
    connection.inbox.push(bytes[0] === TERMINATE ? null : bytes)
    void serve(engine)
  })
  port.on('close', () => {
    connection.inbox.push(null)
    void serve(engine)
  })
}

async function serve(engine: PGlite): Promise<void> {
  if (busy) return
  busy = true
  for (let connection = next(); connection; connection = next()) {
    const bytes = connection.inbox.shift()
    if (bytes) await answer(engine, connection, bytes)
    else await leave(engine, connection)
  }
  busy = false
  if (!closing) return
  await engine.close()
  parent.close()
}

function next(): Connection | undefined {
  if (holder) return holder.inbox.length > 0 ? holder : undefined
  for (const connection of connections) if (connection.inbox.length > 0) return connection
  return undefined
}

async function answer(engine: PGlite, connection: Connection, bytes: Uint8Array): Promise<void> {
  const out = await exec(engine, bytes)
  if (out.subarray(-IDLE.length).equals(IDLE)) {
    holder = undefined
    // To the end of the line, so that a busy connection does not keep the other from its turn.
    connections.delete(connection)
    connections.add(connection)
  } else {
    holder = connection
  }
  if (out.length > 0) connection.port.postMessage(new Uint8Array(out))
}

async function leave(engine: PGlite, connection: Connection): Promise<void> {
  connections.delete(connection)
  connection.inbox.length = 0
  connection.port.close()
  if (holder !== connection) return
  await exec(engine, SYNC)
  if (engine.isInTransaction()) await exec(engine, ROLLBACK)
  holder = undefined
}

/** Not execProtocolRaw: that keeps a parsed copy of every answer for ever. */
async function exec(engine: PGlite, bytes: Uint8Array): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  await engine.execProtocolRawStream(bytes, { onRawData: (chunk) => chunks.push(chunk.slice()) })
  return Buffer.concat(chunks)
}
