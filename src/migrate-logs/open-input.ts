/** The log that is read. */
import { open } from 'node:fs/promises'
import { addAbortSignal, type Readable } from 'node:stream'
import { Impossible } from './impossible.ts'

export interface Input {
  source: AsyncIterable<Buffer>
  /** Null where it is not known. */
  size: number | null
  /** Throws Impossible where the file is not what was read of it. */
  checkUnchanged(bytesRead: number): Promise<void>
  close(): Promise<void>
}

const CHUNK_BYTES = 256 << 10

/** Opens a file, or standard input for '-'. The source rejects with Impossible where the first bytes are of no text. */
export async function openInput(path: string, stdin: Readable, signal: AbortSignal): Promise<Input> {
  if (path === '-')
    return { source: textOf(() => addAbortSignal(signal, stdin), path, signal), size: null, checkUnchanged: async () => {}, close: async () => {} }
  const file = await open(path)
  const { size } = await file.stat()
  return {
    source: textOf(() => file.createReadStream({ highWaterMark: CHUNK_BYTES, autoClose: false }), path, signal),
    size,
    async checkUnchanged(bytesRead) {
      if (bytesRead < size || (await file.stat()).size !== bytesRead)
        throw new Impossible(`${path} has changed while it was read, and would have been replaced: stop what writes to it, or name another --output.`)
    },
    close: () => file.close(),
  }
}

const signatures: readonly { bytes: readonly number[]; advice: string }[] = [
  { bytes: [0x1f, 0x8b], advice: 'is compressed: gunzip -c FILE | scripts/migrate-logs --input -' },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], advice: 'is compressed: zstd -dc FILE | scripts/migrate-logs --input -' },
  { bytes: [0xff, 0xfe], advice: 'is UTF-16: iconv -f UTF-16 -t UTF-8 FILE | scripts/migrate-logs --input -' },
  { bytes: [0xfe, 0xff], advice: 'is UTF-16: iconv -f UTF-16 -t UTF-8 FILE | scripts/migrate-logs --input -' },
]

async function* textOf(read: () => AsyncIterable<Buffer>, path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  let isFirst = true
  // A stream that is aborted before somebody listens would end the process.
  signal.throwIfAborted()
  for await (const chunk of read()) {
    signal.throwIfAborted()
    const found = isFirst && signatures.find(({ bytes }) => bytes.every((byte, at) => chunk[at] === byte))
    if (found) throw new Impossible(`${path === '-' ? 'The input' : path} ${found.advice}`)
    isFirst = false
    yield chunk
  }
}
