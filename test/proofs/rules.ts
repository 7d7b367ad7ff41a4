import assert from 'node:assert/strict'
import { formatFigures, measureRules } from '../../scripts/bench/rules/measure.ts'
import type { ProofContext } from '../../scripts/dev/proof.ts'

export const about = 'rules beside plain loops: detectors, a thousand terms, a thousand patterns, an agent’s body twice; prints the figures'

/** In short form times are printed and not judged: the machine may be busy. */
export default async function prove({ short, say }: ProofContext): Promise<void> {
  const figures = await measureRules({ rounds: short ? 3 : 25, say: () => {} })
  for (const line of formatFigures(figures).split('\n')) say(line)
  for (const { name, oursUs } of figures) assert.ok(Number.isFinite(oursUs) && oursUs > 0, name)
  if (short) return
  const missed = figures.filter(({ holds }) => !holds).map(({ name, aim }) => `${name}: ${aim}`)
  assert.deepEqual(missed, [])
}
