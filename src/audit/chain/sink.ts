/** Where checkpoints go that whoever keeps the database cannot reach: a directory (a volume that is written once) or a URL. */
import { randomUUID } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** What the sink must take a note within. */
const DELIVERY_MS_MAX = 10_000
/** Digits of a tree's size in a file's name, so that names sort as sizes do. */
const SIZE_DIGITS = 16
const KEY_FILE = 'public-key'

export interface CheckpointSink {
  /** Fulfilled once the note is safe there. The same note may be delivered again. */
  deliver(checkpoint: { treeSize: number; note: string }): Promise<void>
}

/** A directory that exists, or a URL that is posted to. */
export type SinkPlace = { kind: 'directory'; path: string } | { kind: 'url'; url: string }

export interface SinkOptions {
  /** AUDIT_CHECKPOINT_SINK */
  to: SinkPlace
  /** The public key of the log, in the form verifiers take. */
  vkey: () => Promise<string>
  /** POSTs text (text/plain) through the guarded way out; resolves with the status. */
  post: (url: string, body: string) => Promise<number>
  deliveryMsMax?: number
}

export function createSink({ to, vkey, post, deliveryMsMax = DELIVERY_MS_MAX }: SinkOptions): CheckpointSink {
  return { deliver: (checkpoint) => inTime(deliveryMsMax, to.kind === 'url' ? postNote(to.url, checkpoint.note) : keepNote(to.path, checkpoint)) }

  async function postNote(url: string, note: string): Promise<void> {
    const status = await post(url, note)
    if (status < 200 || status > 299) throw new Error(`AUDIT_CHECKPOINT_SINK answered ${status}.`)
  }

  async function keepNote(directory: string, { treeSize, note }: { treeSize: number; note: string }): Promise<void> {
    await keepFile(directory, KEY_FILE, `${await vkey()}\n`)
    await keepFile(directory, `${String(treeSize).padStart(SIZE_DIGITS, '0')}.checkpoint`, note)
  }
}

/**
 * Whole or not at all, on disk when it is fulfilled, and never written over: two processes at once write the same. Throws where another text has the name.
 */
async function keepFile(directory: string, name: string, text: string): Promise<void> {
  const path = join(directory, name)
  const existing = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (existing === text) return
  if (existing !== undefined) throw new Error(`AUDIT_CHECKPOINT_SINK holds another ${name}, perhaps of another log.`)
  const temporary = join(directory, `.${name}.${randomUUID()}`)
  try {
    await writeThrough(temporary, text)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncDirectory(directory)
}

async function writeThrough(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o444)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const folder = await open(directory, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function inTime(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`AUDIT_CHECKPOINT_SINK took nothing within ${ms} ms.`)), ms)
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
