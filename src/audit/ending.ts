/** Ends of exchanges on their way to the disk and to the database. Who waits for one waits for whichever has it first, and for a bounded time. */
import { Failure } from '../errors.ts'
import { Slots } from '../slots.ts'
import type { AuditEntry } from './entry.ts'
import type { Ended } from './spool/spool.ts'

export class Ending {
  readonly entry: AuditEntry
  /** As the spool has it; null: there was no room. */
  ended: Ended | null = null
  /** On the clock of the process, in ms: when whoever waits is told that it took too long. */
  until = 0
  /** Where it stands among those that are waited for. */
  slot = -1
  readonly #endings: Endings
  #isSafe = false
  #waiting: PromiseWithResolvers<void> | null = null
  constructor(entry: AuditEntry, endings: Endings) {
    this.entry = entry
    this.#endings = endings
  }

  /** It is on the disk, or its row in the database. */
  safe(): void {
    if (this.#isSafe) return
    this.#isSafe = true
    if (!this.#waiting) return
    this.#endings.remove(this)
    this.#waiting.resolve()
  }

  /** Its row is in the database, or will never be. */
  done(): void {
    this.#endings.committed(this)
    this.safe()
  }

  /** Resolves when it is safe. Rejects with Failure('audit_unavailable') where that takes too long. */
  wait(): Promise<void> {
    if (this.#isSafe) return DONE
    this.#waiting = Promise.withResolvers()
    this.#endings.add(this)
    return this.#waiting.promise
  }

  late(error: Failure): void {
    this.#waiting?.reject(error)
  }
}
const DONE = Promise.resolve()

/** Those that are waited for: one timer for all. */
export class Endings {
  readonly committed: (ending: Ending) => void
  readonly #msMax: number
  readonly #waiting = new Slots<Ending>()
  #timer: NodeJS.Timeout | undefined
  constructor(msMax: number, committed: (ending: Ending) => void) {
    this.#msMax = msMax
    this.committed = committed
  }

  add(ending: Ending): void {
    ending.until = performance.now() + this.#msMax
    ending.slot = this.#waiting.put(ending)
    this.#timer ??= setTimeout(this.#look, this.#msMax)
  }

  remove(ending: Ending): void {
    this.#waiting.empty(ending.slot)
    if (this.#waiting.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  readonly #look = (): void => {
    this.#timer = undefined
    const now = performance.now()
    let next = Number.POSITIVE_INFINITY
    for (const ending of this.#waiting.items()) {
      // A timer may be a moment early.
      if (ending.until > now + 1) next = Math.min(next, ending.until)
      else {
        this.#waiting.empty(ending.slot)
        ending.late(new Failure('audit_unavailable', new Error(`The end of an exchange was not on record within ${this.#msMax} ms.`)))
      }
    }
    if (next !== Number.POSITIVE_INFINITY) this.#timer = setTimeout(this.#look, next - now)
  }
}
