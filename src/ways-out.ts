/** The ways out of this process, as far as EARTHFLOW_LOCALITY leaves them open. */
import type { Config } from './config.ts'
import { createEgress, type Egress } from './egress/dispatcher.ts'
import type { OwnListener } from './egress/guard.ts'
import { providers } from './upstreams/from-settings.ts'

export interface WaysOut {
  /** To upstreams. */
  egress: Egress
  /** To whoever is told of things, such as of checkpoints and traces: nobody says in which region they lie, so where regions are named they must be one's own. */
  exporters: Egress
  /** In one of which an upstream must lie; null: anywhere. */
  regions: readonly string[] | null
  /** Upstreams that settings make on the internet while it is closed: where regions are named, they serve only if an administrator said in which one they lie. */
  closed: readonly string[]
}

export function waysOut(
  { locality, egressAllow: allow, upstreams }: Pick<Config, 'locality' | 'egressAllow' | 'upstreams'>,
  own: () => readonly OwnListener[],
): WaysOut {
  const within = createEgress({ allow, own, internetClosedBy: locality.kind === 'local-only' ? 'EARTHFLOW_LOCALITY=local-only' : 'EARTHFLOW_LOCALITY' })
  return {
    egress: locality.kind === 'local-only' ? within : createEgress({ allow, own }),
    exporters: locality.kind === 'any' ? createEgress({ allow, own }) : within,
    regions: locality.kind === 'regions' ? locality.regions : null,
    closed: locality.kind === 'any' ? [] : providers.flatMap(({ name, key }) => (upstreams[key] === null ? [] : [name])),
  }
}
