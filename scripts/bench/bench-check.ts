/** `npm run bench:check`: whether Earthflow is as fast beside others as it was when figures were recorded. Ends with 1 where it is not. */
import { startServices } from '../../test/services/services.ts'
import { compareRuns, TOLERANCE } from './report/compare.ts'
import { readRecorded } from './report/record.ts'
import { formatTables } from './report/table.ts'
import type { BenchResult } from './result.ts'
import { runBench } from './run-bench.ts'
import { checkSet } from './sets.ts'

const ROUNDS = 2
const SECONDS = 2
const TRIES_MAX = 2

const recorded = read()
const services = await startServices()
try {
  const result = await runBench({
    rounds: ROUNDS,
    seconds: SECONDS,
    triesMax: TRIES_MAX,
    sets: [checkSet],
    starts: 0,
    inside: [],
    steadyMinutes: 0,
    services: { databaseUrl: services.databaseUrl, redisUrl: services.redisUrl ?? null },
    signal: new AbortController().signal,
    say: (line) => process.stderr.write(`${line}\n`),
  })
  const { compared, worse } = compareRuns(recorded, result)
  process.stdout.write(`\n${formatTables(result)}\n\n`)
  for (const sentence of worse) process.stdout.write(`${sentence}\n`)
  if (compared === 0) process.stdout.write('There was nothing to compare: nobody beside Earthflow started.\n')
  else if (worse.length === 0) process.stdout.write(`None of ${compared} comparisons is worse than it was by more than ${TOLERANCE * 100} %.\n`)
  if (worse.length > 0 || compared === 0) process.exitCode = 1
} finally {
  await services.stop()
}

function read(): BenchResult {
  try {
    return readRecorded()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
    process.exit(1)
  }
}
