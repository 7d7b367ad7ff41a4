/** What was taken from a caller while his call waited for a person is asked for again, the same way as at the beginning. */
import type { Caller } from '../call.ts'
import { Refusal } from '../errors.ts'
import { type Route, whyForbidden } from './admit.ts'
import { findCaller, invalid, type Keys } from './authenticate.ts'
import type { Exchange, Facts } from './stage.ts'
import { wayOf } from './way.ts'

/** Null where the call may still be made, of those admitted by the ones that still serve it, which then stay; otherwise the refusal that it would get now. Throws where that cannot be asked. */
export type StillMay = (known: Exchange & Pick<Facts, 'caller' | 'call' | 'admission'>) => Promise<Refusal | null>

export const stillMay =
  (keys: Keys, route: Route): StillMay =>
  async (known) => {
    const now = await findCaller(keys, known)
    if (now instanceof Refusal) return now
    return isSame(now, known.caller) ? (whyForbidden(now, known) ?? whyNobody(route, now, known)) : invalid()
  }

/** An upstream may have been moved, changed or switched off since, and its credential withdrawn; so may the tenant's regions. */
function whyNobody(route: Route, caller: Caller, { endpoint, call, admission }: Parameters<StillMay>[0]): Refusal | null {
  const way = wayOf(endpoint, call, route.candidates(caller, call, endpoint))
  if (way instanceof Refusal) return way
  admission.candidates = admission.candidates.filter((upstream) => upstream.isCurrent() && way.candidates.includes(upstream))
  return admission.candidates.length > 0 ? null : changed()
}

const changed = (): Refusal => new Refusal('unavailable', 'Whoever was to serve this call was changed while it waited; send it again.')

/** A key that was rotated meanwhile is still of the same line. */
const isSame = (a: Caller, b: Caller): boolean =>
  a.tenant.id === b.tenant.id && firstOf(a) === firstOf(b) && a.agent?.id === b.agent?.id && a.session?.id === b.session?.id

const firstOf = ({ line, keyPrefix }: Caller): string => line?.[0] ?? keyPrefix
