/** Many values of one length, such as the hashes of all leaves, without an object for each. */

export interface HashList {
  readonly length: number
  /** One or more at once: a multiple of the length of one. */
  add(values: Buffer): void
  /** A view of one. */
  at(index: number): Buffer
}

const VALUES_PER_CHUNK = 1 << 14

export function createHashList(valueBytes = 32): HashList {
  const chunks: Buffer[] = []
  const chunkBytes = VALUES_PER_CHUNK * valueBytes
  let bytes = 0
  return {
    get length() {
      return bytes / valueBytes
    },
    add(values) {
      for (let done = 0; done < values.length; ) {
        const offset = bytes % chunkBytes
        if (offset === 0) chunks.push(Buffer.allocUnsafe(chunkBytes))
        const copied = values.copy(chunks.at(-1)!, offset, done)
        done += copied
        bytes += copied
      }
    },
    at(index) {
      const offset = (index % VALUES_PER_CHUNK) * valueBytes
      return chunks[Math.floor(index / VALUES_PER_CHUNK)]!.subarray(offset, offset + valueBytes)
    },
  }
}
