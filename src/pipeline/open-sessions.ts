/** Calls under way that came with a session's token: they end with it. */
import type { Caller } from '../call.ts'
import { Refusal } from '../errors.ts'
import type { Exchange } from './stage.ts'

export interface OpenSessions {
  /** Until the exchange is over. */
  follow(exchange: Followed, session: Session): void
  /** Cuts the calls of sessions that were ended. Asks nothing while there are none. Rejects where it cannot be asked. */
  look(): Promise<void>
  close(): void
}

export interface OpenSessionsOptions {
  /** Which of these sessions have not been ended. */
  openAmong(ids: readonly string[]): Promise<ReadonlySet<string>>
  report(error: unknown): void
  /** Milliseconds since 1970. */
  now?: () => number
}

type Followed = Pick<Exchange, 'cut' | 'outgoing'>
type Session = Pick<NonNullable<Caller['session']>, 'id' | 'expiresAt'>

/** A call whose session was being looked up while it was ended begins after the first look, and is found by the second. Longer than a lookup may take. */
const AGAIN_MS = 7_000

export function createOpenSessions({ openAmong, report, now = Date.now }: OpenSessionsOptions): OpenSessions {
  const followed = new Map<Followed, Session>()
  let again: NodeJS.Timeout | undefined

  return {
    follow(exchange, session) {
      if (exchange.outgoing.closed) return // it left while its token was looked up
      followed.set(exchange, session)
      exchange.outgoing.once('close', () => followed.delete(exchange))
    },
    async look() {
      clearTimeout(again)
      again = setTimeout(() => void cutEnded().catch(report), AGAIN_MS).unref()
      await cutEnded()
    },
    close: () => clearTimeout(again),
  }

  async function cutEnded(): Promise<void> {
    // One whose time is over was not ended, and its row may have been cleared away: what it began may go on.
    const asked = [...followed].filter(([, { expiresAt }]) => now() < expiresAt)
    if (asked.length === 0) return
    const open = await openAmong([...new Set(asked.map(([, { id }]) => id))])
    for (const [exchange, { id }] of asked) if (!open.has(id)) exchange.cut(ended())
  }
}

const ended = (): Refusal => new Refusal('session_ended', 'The session that this call was made with was ended.')
