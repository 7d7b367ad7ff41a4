import { screenFor } from '../rules/replies/screen.ts'
import type { Stage } from './stage.ts'

/** Decides what must stand between the upstream and the client: nothing, unless a rule reads replies or something must be put back into this one. */
export const screenReply: Stage<'caller' | 'admission' | 'verdict' | 'originals', 'screen'> = (known) => {
  const { caller, admission, verdict, originals } = known
  return { screen: screenFor(verdict, admission.speaks.dialect, { tenant: caller.tenant, originals, isWanted: () => !known.gone }) }
}
