import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import type { Terminal } from './apply.ts'
import { EXIT } from './exits.ts'

/** A policy file is at most this long; so is what the API takes of rules. */
const FILE_BYTES_MAX = 8 << 20

class Unreadable extends Error {
  readonly code: 'too long' | 'not UTF-8'
  constructor(code: Unreadable['code']) {
    super(code)
    this.code = code
  }
}

// Whoever looked is gone. What comes next would make keys that nobody sees, so nothing does.
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  process.stderr.write(`Standard output is closed (${code}): what was not shown is lost. If new keys or a password were among it, make others.\n`)
  process.exit(EXIT.failed)
})
process.stderr.on('error', () => process.exit(EXIT.failed))

/** The terminal, or whatever stands in for it, of this process. */
export const terminal: Terminal = {
  async read(path) {
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of (path === '-' ? process.stdin : createReadStream(path)) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > FILE_BYTES_MAX) throw new Unreadable('too long')
      chunks.push(chunk)
    }
    const bytes = Buffer.concat(chunks, size)
    // Read as something else, a rule would look for other words than the file has.
    if (!isUtf8(bytes)) throw new Unreadable('not UTF-8')
    return bytes.toString()
  },
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
}
