/** `npm run bench`: Earthflow beside other proxies, in the same minutes on the same cores. */
import { writeFile } from 'node:fs/promises'
import { startServices } from '../../test/services/services.ts'
import { type BenchArguments, help, readArguments } from './options.ts'
import { drawChart } from './report/chart.ts'
import { record } from './report/record.ts'
import { formatFigures, formatTables, formatTargets } from './report/table.ts'
import { runBench } from './run-bench.ts'

const USAGE = 64
const asked = understand()
if (asked === null) process.stdout.write(help())
else await run(asked)

async function run({ databaseUrl, out, record: isRecorded, ...options }: BenchArguments): Promise<void> {
  const ends = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ends.abort(new Error(`Stopped by ${signal}.`)))
  const services = await startServices(databaseUrl === null ? process.env : { ...process.env, TEST_DATABASE_URL: databaseUrl })
  try {
    const result = await runBench({
      ...options,
      services: { databaseUrl: services.databaseUrl, redisUrl: services.redisUrl ?? null },
      signal: ends.signal,
      say: (line) => process.stderr.write(`${line}\n`),
    })
    const parts = [formatTables(result), formatFigures(result), formatTargets(result)].filter((part) => part !== '')
    process.stdout.write(`\n${parts.join('\n\n')}\n\n`)
    await writeFile(out, JSON.stringify(result, null, 1))
    process.stdout.write(`All rounds: ${out}\n`)
    const chart = drawChart(result)
    if (chart !== null) {
      const path = out.replace(/(?:\.json)?$/, '.svg')
      await writeFile(path, chart)
      process.stdout.write(`Chart: ${path}\n`)
    }
    if (isRecorded) process.stdout.write(`Recorded: ${(await record(result)).join(', ')}\n`)
  } catch (error) {
    if (!ends.signal.aborted) throw error
    process.stderr.write(`${ends.signal.reason.message} Nothing is left running.\n`)
    process.exitCode = 1
  } finally {
    await services.stop()
  }
}

function understand(): BenchArguments | null {
  try {
    return readArguments(process.argv.slice(2), Date.now())
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\nnpm run bench -- --help lists what there is.\n`)
    process.exit(USAGE)
  }
}
