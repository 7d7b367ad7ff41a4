/** `npm run bench:rules`: the rules engine beside plain loops, in the same run. Options: --rounds N. */
import { parseArgs } from 'node:util'
import { formatFigures, measureRules } from './measure.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '15' } } })
const rounds = Number(values.rounds)
if (!Number.isInteger(rounds) || rounds < 1) {
  process.stderr.write('--rounds is a whole number above 0.\n')
  process.exit(1)
}
const figures = await measureRules({ rounds, say: (line) => process.stderr.write(`${line}\n`) })
process.stdout.write(`\n${formatFigures(figures)}\n`)
