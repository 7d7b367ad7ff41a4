/** Where calls of this process ask for a decision, and wait for it with their connections open. Waiting costs no polling: decisions are announced. */
import { RECORD_WAITING_MAX, TENANT_WAITING_BYTES_MAX, TENANT_WAITING_MAX, WAITING_BYTES_MAX, WAITING_MAX } from './bounds.ts'
import type { Escalations } from './escalations.ts'
import type { Answer, HeldCall } from './held-call.ts'
import type { Status } from './use.ts'

/** What it throws where nobody can be asked never means yes. */
export interface Desk extends Pick<Escalations, 'ask'> {
  /** Uses an approval for this very call. Rejects, and leaves it unused, where the signal says that the call is over. */
  use(id: string, call: HeldCall, when: Using): Promise<Answer>
  /**
   * Resolves when the record was decided, or after `ms` with what it was; at once where too many wait. Of identical calls that wait for one approval the
   * first uses it. Rejects where the signal says that the call is over.
   */
  wait(id: string, call: HeldCall, when: Using & { ms: number }): Promise<Answer>
  /** Of an exchange that used it and has sent nothing. Resolves when it can be used again, or after a moment; never rejects. */
  giveBack(id: string, owner: Pick<HeldCall, 'tenantId' | 'auditId'>): Promise<void>
  /** Some were decided: asks about those that are waited for. Asks nothing while nobody waits. Rejects where it cannot ask. */
  look(): Promise<void>
  /** Calls that wait. */
  readonly waiting: number
  /** This process ends: who waits, or would, is told the id, and may use the approval elsewhere. */
  close(): void
}

export interface Using {
  signal: AbortSignal
  /** Comes right before an approval is used. What it rejects with ends the call, and the approval stays unused. */
  before(): Promise<void>
}

export type DeskStore = Pick<Escalations, 'ask' | 'use' | 'giveBack' | 'statesOf'>

export interface DeskOptions {
  store: DeskStore
  /** Calls that wait: of this process, of one tenant, for one record. */
  waitingMax?: number
  tenantWaitingMax?: number
  recordWaitingMax?: number
  /** What their bodies take: all of them, and one tenant's. */
  bytesMax?: number
  tenantBytesMax?: number
}

interface Waiter extends Using {
  call: HeldCall
  /** Takes it out of its line, whose turn has come or will not; false where it is out already. */
  leave(): boolean
  resolve(answer: Answer): void
  reject(error: unknown): void
}

/** So long a client waits at most for its approval to be given back. */
const GIVE_BACK_MS = 1_000

export function createDesk({
  store,
  waitingMax = WAITING_MAX,
  tenantWaitingMax = TENANT_WAITING_MAX,
  recordWaitingMax = RECORD_WAITING_MAX,
  bytesMax = WAITING_BYTES_MAX,
  tenantBytesMax = TENANT_WAITING_BYTES_MAX,
}: DeskOptions): Desk {
  /** By the id of the record, in the order in which they came. */
  const lines = new Map<string, Set<Waiter>>()
  /** Of each tenant, and of all. */
  const tenants = new Map<string, Load>()
  const all: Load = { calls: 0, bytes: 0 }
  /** Records whose lines are being served. */
  const serving = new Set<string>()
  let isClosed = false

  return {
    ask: (call) => store.ask(call),
    use,
    wait(id, call, { ms, signal, before }) {
      if (signal.aborted) return Promise.reject(isOver())
      if (isClosed || !hasRoom(id, call)) return Promise.resolve({ why: 'pending', id })
      const { promise, resolve, reject } = Promise.withResolvers<Answer>()
      const line = lines.get(id) ?? new Set()
      const waiter: Waiter = {
        call,
        signal,
        before,
        leave() {
          if (!line.delete(waiter)) return false
          count(call, -1)
          clearTimeout(timer)
          signal.removeEventListener('abort', onGone)
          if (line.size === 0) lines.delete(id)
          return true
        },
        resolve,
        reject,
      }
      const onGone = (): void => {
        if (waiter.leave()) reject(isOver())
      }
      const timer = setTimeout(() => waiter.leave() && resolve({ why: 'pending', id }), ms)
      signal.addEventListener('abort', onGone)
      lines.set(id, line.add(waiter))
      count(call, 1)
      // It may have been decided between being found and being waited for.
      look([id]).catch((error: unknown) => waiter.leave() && reject(error))
      return promise
    },
    giveBack(id, owner) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, GIVE_BACK_MS)
      void store.giveBack(id, owner).finally(resolve)
      return promise.finally(() => clearTimeout(timer))
    },
    look: () => look([...lines.keys()]),
    get waiting() {
      return all.calls
    },
    close() {
      isClosed = true
      for (const [id, line] of lines) for (const waiter of line) if (waiter.leave()) waiter.resolve({ why: 'pending', id })
    },
  }

  function hasRoom(id: string, { tenantId, bodyBytes }: HeldCall): boolean {
    const mine = tenants.get(tenantId) ?? NOTHING
    if ((lines.get(id)?.size ?? 0) >= recordWaitingMax || mine.calls >= tenantWaitingMax || all.calls >= waitingMax) return false
    return mine.bytes + bodyBytes <= tenantBytesMax && all.bytes + bodyBytes <= bytesMax
  }

  function count({ tenantId, bodyBytes }: HeldCall, sign: 1 | -1): void {
    const mine = tenants.get(tenantId) ?? { ...NOTHING }
    for (const load of [mine, all]) {
      load.calls += sign
      load.bytes += sign * bodyBytes
    }
    if (mine.calls === 0) tenants.delete(tenantId)
    else tenants.set(tenantId, mine)
  }

  async function use(id: string, call: HeldCall, { signal, before }: Using): Promise<Answer> {
    await before()
    if (signal.aborted) throw isOver()
    const answer = await store.use(id, call)
    if (answer.why !== null || !signal.aborted) return answer
    await store.giveBack(id, call) // nothing was sent, and the next in line may have it
    throw isOver()
  }

  async function look(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return
    for (const [id, status] of await store.statesOf(ids)) if (status !== 'pending' && !serving.has(id)) void serve(id, status)
  }

  /** One after the other, so that the first is the first. Whose turn has come is not told meanwhile that its time is over. */
  async function serve(id: string, status: Status): Promise<void> {
    serving.add(id)
    let isUsed = false
    for (let waiter = firstOf(id); waiter; waiter = firstOf(id)) {
      waiter.leave()
      if (status !== 'approved') waiter.resolve({ why: status, id })
      else if (isUsed) waiter.resolve({ why: 'used', id })
      else isUsed = await useFor(id, waiter)
    }
    serving.delete(id)
  }

  /** Whether nobody need try any more. */
  async function useFor(id: string, waiter: Waiter): Promise<boolean> {
    try {
      const answer = await use(id, waiter.call, waiter)
      waiter.resolve(answer)
      return answer.why === null || answer.why === 'used'
    } catch (error) {
      waiter.reject(error)
      return false
    }
  }

  function firstOf(id: string): Waiter | undefined {
    return lines.get(id)?.values().next().value
  }
}

interface Load {
  calls: number
  bytes: number
}
const NOTHING: Readonly<Load> = { calls: 0, bytes: 0 }

const isOver = (): Error => new Error('The call was over before anybody had decided.')
