/** What was taken from a caller while his call waited for a person is asked for again, the same way as at the beginning. */
import type { Caller } from '../call.ts'
import { Refusal } from '../errors.ts'
import { whyForbidden } from './admit.ts'
import { findCaller, invalid, type Keys } from './authenticate.ts'
import type { Exchange, Facts } from './stage.ts'

/** Null where the call may still be made; otherwise the refusal that it would get now. Throws where that cannot be asked. */
export type StillMay = (known: Exchange & Pick<Facts, 'caller' | 'call'>) => Promise<Refusal | null>

export const stillMay =
  (keys: Keys): StillMay =>
  async (known) => {
    const now = await findCaller(keys, known)
    if (now instanceof Refusal) return now
    return isSame(now, known.caller) ? whyForbidden(now, known) : invalid()
  }

/** A key that was rotated meanwhile is still of the same line. */
const isSame = (a: Caller, b: Caller): boolean =>
  a.tenant.id === b.tenant.id && firstOf(a) === firstOf(b) && a.agent?.id === b.agent?.id && a.session?.id === b.session?.id

const firstOf = ({ line, keyPrefix }: Caller): string => line?.[0] ?? keyPrefix
