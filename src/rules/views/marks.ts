/** Combining marks are part of the letter before them (UAX 29), and nothing is left of it without them. */
const MARK = /\p{M}/u

/** Where a match that ends at `end` ends with the marks of its last letter. */
export function withMarks(bytes: Buffer, end: number): number {
  let at = end
  while (at < bytes.length && bytes[at] >= 0xc0) {
    const size = bytes[at] >= 0xf0 ? 4 : bytes[at] >= 0xe0 ? 3 : 2
    if (!MARK.test(bytes.toString('utf8', at, at + size))) break
    at += size
  }
  return at
}
