/** A folder as a compressed tar, and back. Files may grow or go while they are read: what was there at first is what is taken. */
import { mkdir, open, readdir, stat } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { Told } from '../cli/told.ts'
import { BLOCK_BYTES, end, headerOf, paddingOf, readHeader } from './tar.ts'

const CHUNK_BYTES = 256 << 10
/** Most of an embedded database are zeros. */
const LEVEL = 3

/** `takes`: which files, by their path in the folder. `onBytes` hears how much of the folder was read. */
export async function* packFolder(
  dir: string,
  { takes = () => true, onBytes = () => {} }: { takes?: (path: string) => boolean; onBytes?: (bytes: number) => void } = {},
) {
  const gzip = createGzip({ level: LEVEL })
  const fed = pipeline(Readable.from(tarOf(dir, takes, onBytes)), gzip)
  fed.catch(() => {}) // what goes wrong is thrown by who reads
  yield* gzip as AsyncIterable<Buffer>
  await fed
}

/** Bytes of all files below a folder; 0 where there is none. */
export async function sizeOfFolder(dir: string): Promise<number> {
  let bytes = 0
  for (const path of await pathsIn(dir))
    bytes += await stat(path.path).then(
      ({ size }) => (path.isFolder ? 0 : size),
      () => 0,
    )
  return bytes
}

async function* tarOf(dir: string, takes: (path: string) => boolean, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  for (const { path, isFolder } of await pathsIn(dir)) {
    const name = relative(dir, path).split(sep).join('/')
    if (isFolder) yield headerOf({ name, bytes: 0, isFolder: true }, new Date())
    else if (takes(name)) yield* memberOf(path, name, onBytes)
  }
  yield end()
}

async function* memberOf(path: string, name: string, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? null : Promise.reject(error)))
  if (!file) return
  try {
    const { size: bytes, mtime } = await file.stat()
    yield headerOf({ name, bytes, isFolder: false }, mtime)
    for (let at = 0; at < bytes; ) {
      const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, bytes - at))
      const { bytesRead } = await file.read(chunk, 0, chunk.length, at)
      // One that was cut meanwhile is filled up: its member has said how long it is.
      const part = bytesRead === 0 ? chunk : chunk.subarray(0, bytesRead)
      at += part.length
      onBytes(part.length)
      yield part
    }
    yield paddingOf(bytes)
  } finally {
    await file.close()
  }
}

async function pathsIn(dir: string): Promise<{ path: string; isFolder: boolean }[]> {
  const found = await readdir(dir, { recursive: true, withFileTypes: true }).catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOENT' ? [] : Promise.reject(error),
  )
  return found
    .filter((entry) => entry.isFile() || entry.isDirectory())
    .map((entry) => ({ path: join(entry.parentPath, entry.name), isFolder: entry.isDirectory() }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** Writes what was packed below `dir`, for its owner alone. `takes`: which members. Throws Told where it is damaged or would write elsewhere. */
export async function unpackFolder(source: AsyncIterable<Buffer>, dir: string, takes: (name: string) => boolean = () => true): Promise<void> {
  const gunzip = createGunzip()
  const fed = pipeline(Readable.from(source), gunzip)
  fed.catch(() => {}) // what goes wrong is thrown by who reads
  const read = reader(gunzip as AsyncIterable<Buffer>)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  try {
    for (;;) {
      const member = readHeader(await read.exactly(BLOCK_BYTES))
      if (!member) break
      const path = join(dir, member.name)
      if (member.name.split('/').includes('..') || !path.startsWith(`${dir}${sep}`))
        throw new Told('The archive is damaged: it names a file outside of its folder.')
      if (!takes(member.name)) await skip(read, member.bytes)
      else if (member.isFolder) await mkdir(path, { recursive: true, mode: 0o700 })
      else await writeMember(read, path, member.bytes)
      await read.exactly(paddingOf(member.bytes).length)
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    throw code.startsWith('Z_') ? new Told('The archive is damaged: a part of it cannot be unpacked.') : error
  } finally {
    gunzip.destroy()
  }
}

interface ByteReader {
  exactly(bytes: number): Promise<Buffer>
  /** At most so many. */
  some(bytes: number): Promise<Buffer>
}

function reader(source: AsyncIterable<Buffer>): ByteReader {
  const chunks = source[Symbol.asyncIterator]()
  let held: Buffer = Buffer.alloc(0)
  async function more(): Promise<void> {
    const { value, done } = await chunks.next()
    if (done) throw new Told('The archive is damaged: a part of it was cut off.')
    held = held.length === 0 ? value : Buffer.concat([held, value])
  }
  const take = (bytes: number): Buffer => {
    const taken = held.subarray(0, bytes)
    held = held.subarray(bytes)
    return taken
  }
  return {
    async exactly(bytes) {
      while (held.length < bytes) await more()
      return take(bytes)
    },
    async some(bytes) {
      if (held.length === 0) await more()
      return take(bytes)
    },
  }
}

async function skip(read: ByteReader, bytes: number): Promise<void> {
  for (let left = bytes; left > 0; ) left -= (await read.some(left)).length
}

async function writeMember(read: ByteReader, path: string, bytes: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const file = await open(path, 'wx', 0o600)
  try {
    for (let left = bytes; left > 0; ) {
      const part = await read.some(left)
      await file.writeFile(part)
      left -= part.length
    }
    await file.sync()
  } finally {
    await file.close()
  }
}
