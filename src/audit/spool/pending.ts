/** Frames that wait to be written: the beginnings and the ends of exchanges. */
import { type FrameKind, frameBytes } from './frame.ts'
import type { NoRoom, Segment } from './segments.ts'

/** An exchange under way: where its beginning stands, if it does, and what it says. */
export class UnderWay {
  segment: Segment | null = null
  json: string | null = null
}

export interface Pending {
  readonly kind: FrameKind
  readonly json: string
  /** Of its frame. */
  readonly bytes: number
  /** Where there is no room, it is refused instead of waiting. */
  readonly isRefusable: boolean
  /** It waits for the sync too. */
  readonly isSynced: boolean
  /** Nobody needs it any more. */
  readonly isMoot: boolean
  written(segment: Segment, offset: number): void
  refused(error: NoRoom): void
  synced(): void
}

/** The beginning of an exchange; or a copy of it, which stands in another segment already, and waits for the disk before that may go. */
export class Beginning implements Pending {
  readonly kind = 'open'
  readonly json: string
  readonly bytes: number
  readonly isRefusable = true
  readonly isSynced: boolean
  readonly isMoot = false
  readonly done: Promise<void>
  readonly #underWay: UnderWay
  readonly #resolve: () => void
  readonly #reject: (error: NoRoom) => void
  constructor(underWay: UnderWay, json: string, isCopy: boolean) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.json = json
    this.bytes = frameBytes(json)
    this.isSynced = isCopy
    this.done = promise
    this.#underWay = underWay
    this.#resolve = resolve
    this.#reject = reject
  }
  written(segment: Segment): void {
    this.#underWay.segment = segment
    if (!this.isSynced) this.#resolve()
  }
  refused(error: NoRoom): void {
    this.#reject(error)
  }
  synced(): void {
    this.#resolve()
  }
}

/** Is told that an end is safe. */
export interface WhoWaits {
  safe(): void
}

/** An exchange that ended. While there is no room for it, it waits. */
export class Ended implements Pending {
  readonly kind = 'close'
  /** Until it is written. */
  json: string
  readonly bytes: number
  readonly isRefusable = false
  /** It had left, and waits for the disk; what had not is safe once it is written. */
  readonly isSynced: boolean
  /** In which segment it stands, once it does. */
  segment: Segment | null = null
  /** Where its frame begins there. */
  offset = 0
  /** In which segment its beginning stands, until the end is on the disk as well. */
  begin: Segment | null
  isCommitted = false
  readonly #released: () => void
  readonly #waiting: WhoWaits | undefined
  #isOnDisk = false
  #promised: PromiseWithResolvers<void> | undefined

  /** `released` is told when nothing of a segment is needed any more, `waiting` when the end is on the disk. */
  constructor(json: string, begin: Segment | null, isOwed: boolean, released: () => void, waiting: WhoWaits | undefined) {
    this.json = json
    this.bytes = frameBytes(json)
    this.isSynced = isOwed
    this.begin = begin
    this.#released = released
    this.#waiting = waiting
    if (begin) begin.pending++
  }

  /** Resolves when it is on the disk, or, where it had not left, when it is written. Never rejects. */
  get onDisk(): Promise<void> {
    this.#promised ??= Promise.withResolvers()
    if (this.#isOnDisk) this.#promised.resolve()
    return this.#promised.promise
  }
  get isMoot(): boolean {
    return this.isCommitted
  }
  written(segment: Segment, offset: number): void {
    segment.pending++
    this.segment = segment
    this.offset = offset
    this.json = ''
    if (this.isCommitted) this.committed()
    if (!this.isSynced) this.#isSafe()
  }
  refused(): void {}
  synced(): void {
    this.#letGo()
    this.#isSafe()
  }
  /** Its row is in the database. */
  committed(): void {
    this.isCommitted = true
    this.#letGo()
    if (this.segment && --this.segment.pending === 0) this.#released()
  }

  /** Of the beginning of what has ended. */
  #letGo(): void {
    const { begin } = this
    this.begin = null
    if (begin && --begin.pending === 0) this.#released()
  }
  #isSafe(): void {
    this.#isOnDisk = true
    this.#promised?.resolve()
    this.#waiting?.safe()
  }
}
