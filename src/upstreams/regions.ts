/** Where upstreams lie. What an administrator says of one is believed: nobody can tell it from an address. */
import type { UpstreamRow } from './store.ts'
import { SANDBOX_URL } from './upstream.ts'

/**
 * Whether an upstream lies in one of the installation's regions (EARTHFLOW_LOCALITY); null: there are none to lie in. One of which nobody said where it
 * lies, lies in no region. The sandbox is in this very process.
 */
export const liesIn = ({ baseUrl, region }: Pick<UpstreamRow, 'baseUrl' | 'region'>, regions: readonly string[] | null): boolean =>
  regions === null || baseUrl === SANDBOX_URL || (region !== null && regions.includes(region))

export const outsideRegions = (regions: readonly string[]): string =>
  `EARTHFLOW_LOCALITY wants every upstream in ${regions.length === 1 ? regions[0] : `one of ${regions.join(', ')}`}, and it has no such region.`
