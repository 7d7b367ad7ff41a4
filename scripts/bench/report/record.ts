/** Where the figures of the documentation are kept, and how they are written. */
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { BenchResult } from '../result.ts'
import { drawChart } from './chart.ts'
import { formatFigures, formatTables, formatTargets } from './table.ts'

const bench = join(import.meta.dirname, '..')
export const RECORDED = join(bench, 'recorded.json')
export const TABLES = join(bench, 'recorded.md')
export const CHART = join(bench, '..', '..', '.github', 'bench.svg')

/** Writes the run, its tables and its chart over those that were. Returns which files. */
export async function record(result: BenchResult): Promise<string[]> {
  const chart = drawChart(result)
  await writeFile(RECORDED, `${JSON.stringify(result, null, 1)}\n`)
  await writeFile(TABLES, pageOf(result))
  if (chart === null) return [RECORDED, TABLES]
  await mkdir(dirname(CHART), { recursive: true })
  await writeFile(CHART, chart)
  return [RECORDED, TABLES, CHART]
}

/** Throws a sentence where there is none. */
export function readRecorded(): BenchResult {
  try {
    return JSON.parse(readFileSync(RECORDED, 'utf8')) as BenchResult
  } catch (error) {
    throw new Error(`There is no recorded run in ${RECORDED}: npm run bench -- --sets all --steady 10 --record makes one.`, { cause: error })
  }
}

/** The page of a recorded run. */
export const pageOf = (result: BenchResult): string => `# Recorded figures

Written by \`npm run bench -- --record\`, ${result.at.slice(0, 10)}. What they mean stands in [README.md](README.md).

![Calls a second of Earthflow beside other proxies](../../.github/bench.svg)

## Beside what they are meant to be

${formatTargets(result)}

## All of them

${formatTables(result)}

## Of one Earthflow alone

${formatFigures(result)}
`
