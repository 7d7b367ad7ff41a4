/** Compares the ratios of a run with those that were recorded: machines differ, what one server does beside another hardly. */
import type { BenchResult } from '../result.ts'
import { references, type Summary, summarize } from './summary.ts'

/**
 * What is worse by more than this part is worse: two runs of the same code on a shared machine differ by up to a tenth. Calls a second and CPU per call both
 * have to be, for who else uses the machine moves the one and hardly the other, and slower code both.
 */
export const TOLERANCE = 0.15

export interface Comparison {
  compared: number
  /** A sentence for each figure that got worse. */
  worse: string[]
}

/** Looks at Earthflow's servers in the cases that both runs have. Calls a second beside each reference; failures where there were none. */
export function compareRuns(recorded: Pick<BenchResult, 'rounds'>, now: Pick<BenchResult, 'rounds'>): Comparison {
  const before = summarize(recorded)
  const comparison: Comparison = { compared: 0, worse: [] }
  for (const one of summarize(now)) {
    if (!one.server.startsWith('earthflow')) continue
    const other = before.find((each) => each.server === one.server && each.case === one.case)
    if (other) compareOne(one, other, comparison)
  }
  return comparison
}

function compareOne(now: Summary, before: Summary, comparison: Comparison): void {
  for (const reference of references) {
    const [is, was, cpuIs, cpuWas] = [now.times[reference], before.times[reference], now.cpuTimes[reference], before.cpuTimes[reference]]
    if (is === null || was === null || cpuIs === null || cpuWas === null) continue
    comparison.compared++
    if (is >= was * (1 - TOLERANCE) || cpuIs <= cpuWas * (1 + TOLERANCE)) continue
    comparison.worse.push(
      `${now.server} in case ${now.case} makes ${is.toFixed(3)} of ${reference}’s calls a second at ${cpuIs.toFixed(2)} of its CPU a call; it was ${was.toFixed(3)} at ${cpuWas.toFixed(2)}.`,
    )
  }
  if (now.failed > 0 && before.failed === 0) comparison.worse.push(`${now.server} in case ${now.case} failed ${now.failed} calls; it failed none.`)
}
