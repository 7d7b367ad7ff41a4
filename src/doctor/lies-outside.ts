import { OutOfReach } from '../egress/check-url.ts'
import { createGuard } from '../egress/guard.ts'
import type { Context } from './check.ts'

/** Whether a URL leads to the internet, as far as its name can be resolved now. */
export const liesOutside = (url: string, { config: { egressAllow }, lookup }: Pick<Context, 'config' | 'lookup'>): Promise<boolean> =>
  createGuard({ allow: egressAllow, lookup, own: () => [], internetClosedBy: 'EARTHFLOW_LOCALITY' })
    .check(url, { https: 'optional' })
    .then(
      () => false,
      (error: unknown) => error instanceof OutOfReach,
    )
