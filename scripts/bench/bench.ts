/**
 * `npm run bench`: Earthflow beside other proxies, in the same minutes on the same cores. Options: --short, --rounds N, --seconds N,
 * --servers a,b, --cases a,b, --database URL (a server on which a database may be made), --out FILE (JSON).
 */
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startServices } from '../../test/services/services.ts'
import { benchCases } from './cases.ts'
import { formatTable } from './report.ts'
import { runBench } from './run-bench.ts'
import { benchServers } from './servers.ts'

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    servers: { type: 'string' },
    cases: { type: 'string' },
    database: { type: 'string' },
    out: { type: 'string', default: join(tmpdir(), `earthflow-bench-${Date.now()}.json`) },
  },
})

const ends = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ends.abort(new Error(`Stopped by ${signal}.`)))

const options = {
  rounds: count(values.rounds, values.short ? 2 : 5),
  seconds: count(values.seconds, values.short ? 2 : 5),
  servers: choose(values.servers, benchServers),
  cases: choose(values.cases, benchCases),
}
const services = await startServices(values.database === undefined ? process.env : { ...process.env, TEST_DATABASE_URL: values.database })
try {
  const result = await runBench({
    ...options,
    databaseUrl: services.databaseUrl,
    signal: ends.signal,
    say: (line) => process.stderr.write(`${line}\n`),
  })
  process.stdout.write(`\n${formatTable(result)}\n`)
  await writeFile(values.out, JSON.stringify(result, null, 2))
  process.stdout.write(`\nAll rounds: ${values.out}\n`)
  if (result.problems.length > 0) process.exitCode = 1
} finally {
  await services.stop()
}

function count(value: string | undefined, otherwise: number): number {
  const number = value === undefined ? otherwise : Number(value)
  if (!Number.isInteger(number) || number < 1) stop('--rounds and --seconds are whole numbers above 0.')
  return number
}

function choose<T extends { name: string; byDefault: boolean }>(names: string | undefined, table: readonly T[]): T[] {
  if (names === undefined) return table.filter((row) => row.byDefault)
  return names.split(',').map((name) => {
    const row = table.find((one) => one.name === name)
    if (!row) stop(`There is no ${name}; there is ${table.map((one) => one.name).join(', ')}.`)
    return row
  })
}

function stop(sentence: string): never {
  process.stderr.write(`${sentence}\n`)
  process.exit(1)
}
