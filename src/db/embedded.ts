/** The embedded database: PGlite in a worker thread, owned by one process. */
import { chmodSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { lockDirectory } from './lock.ts'
import type { FromWorker, ToWorker } from './pglite-worker.ts'
import { PortSocket } from './port-socket.ts'
import { DatabaseUnavailable } from './unavailable.ts'

/** A checkpoint of a large database takes a while; after this the worker is stopped, which loses nothing that was acknowledged. */
const CLOSE_MS = 10_000

export type Embedded = {
  /** A new connection. Connections take turns; one in a transaction keeps the others waiting. */
  socket(): PortSocket
  close(): Promise<void>
}

/**
 * Opens, or creates, the embedded database in a directory. What was acknowledged survives the death of the process (`kill -9`), but not necessarily a loss
 * of power: PGlite never calls fsync. Throws when another process owns the directory or the files cannot be opened.
 */
export async function openEmbedded(dir: string): Promise<Embedded> {
  mkdirSync(dirname(dir), { recursive: true, mode: 0o700 })
  // PGlite makes its files readable for everybody, and the folder around them may have been made by somebody else.
  mkdirSync(dir, { recursive: true })
  chmodSync(dir, 0o700)
  const lock = lockDirectory(dir)
  // The process's own options may not suit a worker (`--input-type`).
  const worker = new Worker(new URL('./pglite-worker.ts', import.meta.url), { workerData: { dir }, execArgv: [] })
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  const sockets = new Set<PortSocket>()
  let dead = false
  const cutOff = (socket: PortSocket) => socket.destroy(new DatabaseUnavailable('the embedded database has stopped'))
  void ended.then(() => {
    dead = true
    lock.release()
    // Not left to the ports: one that was still on its way to the worker is never closed.
    sockets.forEach(cutOff)
  })
  try {
    await ready(worker)
  } catch (error) {
    await worker.terminate()
    throw new Error(`The embedded database in ${dir} cannot be opened.`, { cause: error })
  }

  const tell = (message: ToWorker, transfer: MessagePort[] = []) => worker.postMessage(message, transfer)

  return {
    socket() {
      const { port1, port2 } = new MessageChannel()
      const socket = new PortSocket(port1)
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      // Later, because postgres.js only begins to listen once it has the socket.
      if (dead) setImmediate(cutOff, socket)
      else tell({ kind: 'connection', port: port2 }, [port2])
      return socket
    },
    async close() {
      tell({ kind: 'close' })
      const timer = setTimeout(() => void worker.terminate(), CLOSE_MS)
      await ended
      clearTimeout(timer)
    },
  }
}

function ready(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once('message', (message: FromWorker) => (message.kind === 'ready' ? resolve() : reject(new Error(message.message))))
    worker.once('exit', (code) => reject(new Error(`its thread ended with ${code}`)))
    // Stays attached: an error without a listener would end the process. Its connections close with it, so every statement fails.
    worker.on('error', reject)
  })
}
