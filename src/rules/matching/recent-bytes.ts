/** The text of a watcher as far back as it may have to look again, wherever its pieces were cut. */
export interface RecentBytes {
  /** A piece begins, whose first byte is `bytes[from]`. Its bytes can be asked for until it ends. */
  begin(bytes: Buffer, from: number): void
  end(to: number): void
  /** Another text begins; positions count on. */
  forget(): void
  /** How much of the text was read before this piece. */
  readonly at: number
  /** 0 for what is not there any more, or not yet. */
  byteAt(position: number): number
  /** As much of this range as is there. */
  textOf(start: number, end: number): string
}

/** Keeps `most` bytes from one piece to the next. */
export function recentBytes(most: number): RecentBytes {
  let tail: Buffer = Buffer.alloc(0)
  let piece: Buffer = tail
  let pieceFrom = 0
  let at = 0
  return {
    begin(bytes, from) {
      piece = bytes
      pieceFrom = from
    },
    end(to) {
      const read = piece.subarray(pieceFrom, to)
      tail = read.length >= most ? Buffer.from(read.subarray(read.length - most)) : Buffer.concat([tail, read]).subarray(-most)
      at += read.length
      piece = tail.subarray(0, 0)
      pieceFrom = 0
    },
    forget() {
      tail = tail.subarray(0, 0)
    },
    get at() {
      return at
    },
    byteAt: (position) => (position >= at ? piece[pieceFrom + position - at] : tail[tail.length - (at - position)]) ?? 0,
    textOf(start, end) {
      const here = piece.subarray(pieceFrom + Math.max(0, start - at), Math.max(pieceFrom, pieceFrom + end - at))
      if (start >= at) return here.toString()
      const edge = at - tail.length
      const before = tail.subarray(Math.max(0, start - edge), Math.max(0, end - edge))
      return here.length === 0 ? before.toString() : Buffer.concat([before, here]).toString()
    },
  }
}
