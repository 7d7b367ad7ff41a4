import { createReadStream } from 'node:fs'
import type { Terminal } from './apply.ts'

/** A policy file is at most this long; so is what the API takes of rules. */
const FILE_BYTES_MAX = 8 << 20

class FileTooLong extends Error {
  readonly code = 'EFBIG'
}

/** The terminal, or whatever stands in for it, of this process. */
export const terminal: Terminal = {
  async read(path) {
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of (path === '-' ? process.stdin : createReadStream(path)) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > FILE_BYTES_MAX) throw new FileTooLong()
      chunks.push(chunk)
    }
    return Buffer.concat(chunks, size).toString()
  },
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
}
