/**
 * An archive is one tar file, which any `tar` lists and unpacks; its manifest stands at the end, and names the hash of every other file in it. The manifest's
 * own hash follows, as `sha256sum --check` reads it: so no byte can change unnoticed. Against somebody who makes all of it anew only a signature would help.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { createNewFile } from '../cli/new-file.ts'
import { Told } from '../cli/told.ts'
import { MANIFEST, MANIFEST_HASH, type Manifest, readManifest, writeManifest } from './manifest.ts'
import { BLOCK_BYTES, end, headerOf, paddingOf, readHeader } from './tar.ts'

const CHUNK_BYTES = 256 << 10
const MANIFEST_BYTES_MAX = 64 << 20
/** More files than tenants there are. */
const MEMBERS_MAX = 1_000_000

export interface ArchiveWriter {
  /** A file of the archive, as it comes. */
  add(name: string, source: AsyncIterable<Uint8Array> | Iterable<Uint8Array> | string): Promise<void>
  /** Ends it with the manifest, and gives it its name. Resolves with its size. */
  publish(facts: Omit<Manifest, 'format' | 'files'>): Promise<{ bytes: number; manifest: Manifest }>
  /** Leaves nothing behind. After `publish` it does nothing. */
  discard(): Promise<void>
}

/** Throws Told where there is such a file already. */
export async function createArchive(path: string): Promise<ArchiveWriter> {
  const file = await createNewFile(path)
  const files: Manifest['files'] = []
  let position = 0
  const write = async (bytes: Uint8Array): Promise<void> => {
    await file.write(bytes)
    position += bytes.length
  }

  /** How long it is stands before it, and is known when it is there. */
  async function add(name: string, source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Manifest['files'][number]> {
    const begins = position
    const at = new Date()
    await write(headerOf({ name, bytes: 0, isFolder: false }, at))
    const hash = createHash('sha256')
    let bytes = 0
    for await (const chunk of source) {
      hash.update(chunk)
      bytes += chunk.length
      await write(chunk)
    }
    await write(paddingOf(bytes))
    await file.overwrite(headerOf({ name, bytes, isFolder: false }, at), begins)
    return { name, bytes, sha256: hash.digest('hex') }
  }

  return {
    async add(name, source) {
      files.push(await add(name, typeof source === 'string' ? [Buffer.from(source)] : source))
    },
    async publish(facts) {
      const text = writeManifest({ ...facts, files })
      const { sha256 } = await add(MANIFEST, [Buffer.from(text)])
      await add(MANIFEST_HASH, [Buffer.from(hashLine(sha256))])
      await write(end())
      await file.publish()
      return { bytes: position, manifest: readManifest(text) }
    },
    discard: () => file.discard(),
  }
}

export interface Archive {
  manifest: Manifest
  /** A file of it, piece by piece. Throws Told where there is none. */
  read(name: string): AsyncGenerator<Buffer>
  has(name: string): boolean
  /** Throws Told unless every file is there, whole, and what the manifest says, and nothing else. */
  check(onBytes: (bytes: number) => void): Promise<void>
  close(): Promise<void>
}

/** Throws Told where it is no archive. Close it when done. */
export async function openArchive(path: string): Promise<Archive> {
  // It is read twice; and whoever opens a pipe waits until somebody writes to it.
  if (!(await stat(path)).isFile()) throw new Told(`${path} is no file: name the backup itself.`)
  const file = await open(path)
  try {
    const members = await membersOf(file)
    const [text, line] = [await textOf(file, members.get(MANIFEST)), await textOf(file, members.get(MANIFEST_HASH))]
    if (text === null || line === null) throw new Told(`${path} holds no ${MANIFEST}: it is no backup of Earthflow, or was cut off.`)
    if (line !== hashLine(createHash('sha256').update(text).digest('hex')))
      throw new Told(`The archive was changed or is damaged: ${MANIFEST} is not what ${MANIFEST_HASH} says. Take another.`)
    return archiveOf(file, members, readManifest(text))
  } catch (error) {
    await file.close()
    throw error
  }
}

const hashLine = (sha256: string): string => `${sha256}  ${MANIFEST}\n`

async function textOf(file: FileHandle, place: Place | undefined): Promise<string | null> {
  if (!place || place.bytes > MANIFEST_BYTES_MAX) return null
  const chunks: Buffer[] = []
  for await (const chunk of bytesAt(file, place)) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

interface Place {
  at: number
  bytes: number
}

function archiveOf(file: FileHandle, members: ReadonlyMap<string, Place>, manifest: Manifest): Archive {
  async function* read(name: string): AsyncGenerator<Buffer> {
    const place = members.get(name)
    if (!place) throw new Told(`The archive is damaged: ${name} is missing.`)
    yield* bytesAt(file, place)
  }
  return {
    manifest,
    read,
    has: (name) => members.has(name),
    async check(onBytes) {
      const known = new Set([MANIFEST, MANIFEST_HASH, ...manifest.files.map(({ name }) => name)])
      for (const name of members.keys()) if (!known.has(name)) throw new Told(`The archive was changed: ${JSON.stringify(name)} is not named by its manifest.`)
      for (const { name, bytes, sha256 } of manifest.files) {
        const hash = createHash('sha256')
        let length = 0
        for await (const chunk of read(name)) {
          hash.update(chunk)
          length += chunk.length
          onBytes(chunk.length)
        }
        if (length !== bytes || hash.digest('hex') !== sha256)
          throw new Told(`The archive was changed or is damaged: ${name} is not what its manifest says. Take another.`)
      }
    },
    close: () => file.close(),
  }
}

async function membersOf(file: FileHandle): Promise<Map<string, Place>> {
  const members = new Map<string, Place>()
  const { size } = await file.stat()
  const block = Buffer.alloc(BLOCK_BYTES)
  let isOver = false
  for (let at = 0; at < size; ) {
    const { bytesRead } = await file.read(block, 0, BLOCK_BYTES, at)
    const member = readHeader(block.subarray(0, bytesRead))
    if (member && isOver) throw new Told('The archive was changed: something stands after its end.')
    if (!member) {
      isOver = true
      at += BLOCK_BYTES
      continue
    }
    if (members.has(member.name) || members.size >= MEMBERS_MAX) throw new Told('The archive is damaged: it names a file twice, or too many.')
    at += BLOCK_BYTES
    if (at + member.bytes > size) throw new Told('The archive is damaged: it was cut off.')
    members.set(member.name, { at, bytes: member.bytes })
    const padding = paddingOf(member.bytes)
    await file.read(padding, 0, padding.length, at + member.bytes)
    if (padding.some((byte) => byte !== 0)) throw new Told('The archive was changed: something stands between its files.')
    at += member.bytes + padding.length
  }
  return members
}

async function* bytesAt(file: FileHandle, { at, bytes }: Place): AsyncGenerator<Buffer> {
  for (let done = 0; done < bytes; ) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, bytes - done))
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at + done)
    if (bytesRead === 0) throw new Told('The archive is damaged: it was cut off.')
    done += bytesRead
    yield chunk.subarray(0, bytesRead)
  }
}
