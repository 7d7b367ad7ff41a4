import type { Role, TextSlot, Texts } from '../../call.ts'
import { insertAll, type Span } from '../matching/match.ts'
import { slotAt } from '../search/search.ts'

/** All texts of a stream together. What comes beyond it is not kept: where it must be judged, so much was never relayed. */
const KEPT_BYTES_MAX = 1 << 20

/** Whose text it is: where its findings go, at positions that count from the beginning of everything it said. */
interface Owner {
  spans: Span[]
  length: number
}
interface Kept {
  owner: Owner
  role: Role
  /** Where the text begins among everything its owner said. */
  base: number
  parts: Buffer[]
  length: number
  /** It may be what was said in pieces before, told once more. */
  mayRepeat: boolean
}

/** The texts of a stream, put together again for the rules that only the whole reply decides. */
export class KeptTexts {
  readonly #texts: Kept[] = []
  readonly #open = new Map<Owner, Kept>()
  #bytes = 0

  /** A further piece of the owner's text, before it is added to the owner's length. */
  keep(owner: Owner, role: Role, piece: Buffer, mayRepeat: boolean): void {
    if ((this.#bytes += piece.length) > KEPT_BYTES_MAX) return
    let kept = this.#open.get(owner)
    if (!kept) {
      kept = { owner, role, base: owner.length, parts: [], length: 0, mayRepeat }
      this.#open.set(owner, kept)
      this.#texts.push(kept)
    }
    kept.parts.push(Buffer.from(piece)) // a slice would keep the socket's buffer alive
    kept.length += piece.length
  }
  /** The owner's text ends; what it says next is another. */
  end(owner: Owner): void {
    this.#open.delete(owner)
  }

  /** Adds what must be cut to the spans of the owners, wherever it was told. Throws where the reply is stopped. */
  judge(whole: (reply: Texts) => readonly Span[]): void {
    const parts: Buffer[] = []
    const slots: TextSlot[] = []
    const told = new Map<string, number>()
    const tellers: Kept[][] = []
    let to = 0
    for (const kept of this.#texts) {
      const text = Buffer.concat(kept.parts, kept.length)
      const key = `${kept.role} ${text.toString('latin1')}`
      const earlier = told.get(key)
      if (earlier !== undefined && kept.mayRepeat) {
        tellers[earlier].push(kept)
        continue
      }
      told.set(key, slots.length)
      tellers.push([kept])
      const from = to + (slots.length > 0 ? BREAK.length : 0)
      if (slots.length > 0) parts.push(BREAK)
      parts.push(text)
      to = from + text.length
      slots.push({ role: kept.role, start: 0, end: 0, escaped: false, from, to })
    }
    const text = Buffer.concat(parts)
    const cuts = new Map<Owner, Span[]>()
    for (const { start, end, leaf } of whole({ slots, text, promptEnd: text.length, opaqueBytes: 0, sealedBytes: 0 })) {
      const index = slotAt(slots, start)
      for (const { owner, base } of tellers[index]) {
        const offset = base - slots[index].from
        const own = cuts.get(owner) ?? []
        cuts.set(owner, own)
        own.push({ start: start + offset, end: end + offset, leaf })
      }
    }
    for (const [{ spans }, own] of cuts) insertAll(spans, own)
  }
}

const BREAK = Buffer.from('\n')
