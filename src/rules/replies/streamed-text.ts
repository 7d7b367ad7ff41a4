/** One text of a stream, which comes in pieces and may be interrupted by a text of another kind. */
import type { Role, TextSlot } from '../../call.ts'
import { type BareNumbers, bareNumbers } from '../bare-numbers.ts'
import type { Span, Watch } from '../matching/match.ts'
import { escapesOf, firstByte, type Judgement, type Place, unreadable } from './judgement.ts'

/** Of an interrupted text this much is watched together with what it goes on with. */
const TAIL_BYTES = 512
/** How far behind an interruption a finding may owe its meaning to what stands before it. */
const CONTEXT_BYTES = 64

/** A piece of a text in an event: `from` and `to` count in its text. */
export interface Piece extends TextSlot, Place {
  of: StreamedText
}

/** The end of what was said before an interruption and what is said after it, as one text. */
interface Across {
  watch: Watch
  /** Where it begins, and where the interruption was, in the text. */
  start: number
  edge: number
}

/** Watches a text piece by piece, and says which pieces are decided. */
export class StreamedText {
  /** What must be cut or stops the reply, at positions of this text. */
  readonly spans: Span[] = []
  /** Bytes so far. */
  length = 0
  /** What is being fed. */
  role: Role = 'other'
  readonly #judgement: Judgement
  readonly #watch: Watch
  readonly #numbers: BareNumbers = bareNumbers()
  /** The first byte of the text that is no white space, once it came. */
  #first: number | undefined
  #isInterrupted = false
  #across: Across | undefined
  /** Something lies across an interruption: nothing that is held of this text may leave any more. */
  #isLost = false
  /** The last bytes of the text; the buffer has room for as many again. */
  #tail: Buffer | undefined
  #used = 0
  /** The last findings of those that have left, together where one follows the other without a gap. */
  #cutFrom = 0
  #cutTo = -1

  constructor(judgement: Judgement) {
    this.#judgement = judgement
    this.#watch = judgement.watch(this.spans, () => this.role)
  }

  /** A further piece. Throws where it goes on with what had left undecided and was something to cut or to stop. */
  feed(bytes: Buffer, from: number, to: number, role: Role): Pick<Piece, 'escapes' | 'from' | 'to' | 'of'> {
    const at = this.length
    this.role = role
    this.#first ??= firstByte(bytes, from, to)
    if (this.#isInterrupted) this.#resume()
    this.#watch.feed(bytes, from, to)
    if (role === 'tool_arguments' && this.#judgement.withholdsRepeats) this.#numbers.feed(bytes, from, to, at)
    this.length += to - from
    if (this.#judgement.watchAcross) this.#remember(bytes, from, to)
    const across = this.#across
    if (across) {
      this.#watchAcross(() => across.watch.feed(bytes, from, to))
      if (across.start + across.watch.decided >= across.edge + CONTEXT_BYTES) this.#across = undefined
    }
    return { escapes: escapesOf(this.#first), from: at, to: this.length, of: this }
  }

  /** The text ends here; what is fed next is another. */
  end(): void {
    this.#first = undefined
    this.#isInterrupted = false
    this.#watch.finish()
    this.#numbers.end()
    this.#endAcross()
  }

  /**
   * A text of another kind begins, so that this one has ended, for all one knows: what is open is decided as if it had, and leaves. What depends on more
   * of the text than can be watched again waits on.
   */
  interrupt(): void {
    const open = this.length - this.#decided()
    if (open <= 0 || (open > TAIL_BYTES && this.#judgement.watchAcross)) return
    this.#isInterrupted = true
    this.#watch.finish()
    this.#endAcross()
  }

  /** Nothing that begins in this piece is open, nor anything that could still grow together with what was found in it. */
  isDecided({ from, to }: Piece): boolean {
    if (this.#isLost) return false
    const decided = this.#decided()
    if (to > decided) return false
    for (const span of this.spans) {
      if (span.start >= to) break
      if (span.end > from && span.end > decided) return false
    }
    return true
  }

  /** What stands for a finding in this piece of it. */
  placeholderIn(piece: Piece): (span: Span) => string {
    return this.#numbers.quoting(this.#judgement.placeholderIn(piece))
  }

  /** What ends up to here has left. */
  forget(to: number): void {
    this.#numbers.forget(to)
    const { spans } = this
    if (spans.length === 0) return
    const kept = spans.findIndex(({ end }) => end > to)
    for (const span of spans.splice(0, kept < 0 ? spans.length : kept)) this.#follow(span)
  }

  #decided(): number {
    const { decided } = this.#watch
    return this.#across ? Math.min(decided, this.#across.start + this.#across.watch.decided) : decided
  }

  #endAcross(): void {
    const across = this.#across
    this.#across = undefined
    if (across) this.#watchAcross(() => across.watch.finish())
  }

  #watchAcross(watch: () => void): void {
    try {
      watch()
    } catch (stopped) {
      this.#isLost = true
      throw stopped
    }
  }

  /** What was taken for the end was none. */
  #resume(): void {
    this.#isInterrupted = false
    const kept = this.#tail?.subarray(Math.max(0, this.#used - TAIL_BYTES), this.#used)
    if (!kept || !this.#judgement.watchAcross) return
    const start = this.length - kept.length
    for (const span of this.spans) this.#follow(span)
    if (this.#cutTo === this.length && this.#cutFrom < start)
      throw unreadable('A text of the reply goes on after an interruption with what may have to be cut.')
    const watch = this.#judgement.watchAcross(kept.length, () => this.role, { spans: this.spans, base: start })
    watch.feed(kept, 0, kept.length)
    this.#across = { watch, start, edge: this.length }
  }

  #follow({ start, end }: Span): void {
    if (start > this.#cutTo) this.#cutFrom = start
    this.#cutTo = Math.max(this.#cutTo, end)
  }

  // Copied, not referenced: a piece is a slice of a socket's buffer.
  #remember(bytes: Buffer, start: number, to: number): void {
    const from = Math.max(start, to - TAIL_BYTES)
    const tail = (this.#tail ??= Buffer.allocUnsafeSlow(2 * TAIL_BYTES))
    if (this.#used + to - from > tail.length) {
      const kept = Math.min(TAIL_BYTES, this.#used)
      tail.copyWithin(0, this.#used - kept, this.#used)
      this.#used = kept
    }
    this.#used += bytes.copy(tail, this.#used, from, to)
  }
}
