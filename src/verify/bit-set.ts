/** A set of small numbers, one bit each. */
export interface BitSet {
  has(value: number): boolean
  add(value: number): void
  readonly size: number
}

const BYTES_AT_FIRST = 1 << 10

export function createBitSet(): BitSet {
  let bits = new Uint8Array(BYTES_AT_FIRST)
  let size = 0
  const has = (value: number): boolean => ((bits[value >>> 3] ?? 0) & (1 << (value & 7))) !== 0
  return {
    has,
    add(value) {
      if (has(value)) return
      const at = value >>> 3
      if (at >= bits.length) {
        const more = new Uint8Array(Math.max(2 * bits.length, at + 1))
        more.set(bits)
        bits = more
      }
      bits[at]! |= 1 << (value & 7)
      size++
    },
    get size() {
      return size
    },
  }
}
