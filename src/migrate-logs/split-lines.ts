/** Splits bytes into lines and never holds more than one line, nor more of it than the bound. */

/** A line, its end included; or one piece after the other of a line that is longer than the bound, the last of which may be empty. */
export interface Line {
  /** From 1. */
  number: number
  bytes: Buffer
  part: 'whole' | 'piece' | 'last piece'
  /** The file ends before the line does. */
  isTorn: boolean
}

const LINE_FEED = 0x0a

/** Feed it chunk by chunk, and take all lines of a chunk before the next: they share its memory. */
export function createLineSplitter(lineBytesMax: number) {
  let number = 1
  let isTorn = false
  let held: Buffer[] = []
  let size = 0
  let isLong = false

  function* take(bytes: Buffer, isEnd: boolean): Generator<Line> {
    if (!isLong && size + bytes.length <= lineBytesMax) {
      held.push(bytes)
      size += bytes.length
      if (!isEnd) return
      yield { number, bytes: held.length === 1 ? bytes : Buffer.concat(held, size), part: 'whole', isTorn }
    } else {
      for (const piece of held) yield { number, bytes: piece, part: 'piece', isTorn }
      isLong = !isEnd
      yield { number, bytes, part: isEnd ? 'last piece' : 'piece', isTorn }
    }
    held = []
    size = 0
    if (isEnd) number++
  }

  return {
    *feed(chunk: Buffer): Generator<Line> {
      let start = 0
      for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
        yield* take(chunk.subarray(start, end + 1), true)
        start = end + 1
      }
      if (start < chunk.length) yield* take(chunk.subarray(start), false)
    },
    /** What is left when the file ends: a line without its end. */
    *end(): Generator<Line> {
      isTorn = true
      if (isLong || size > 0) yield* take(Buffer.alloc(0), true)
    },
  }
}
