/**
 * `npm test`: format and lint, types, then every test against a real PostgreSQL and Redis. All three run even when one fails, so that one run tells
 * everything. What the tests printed and left behind is then searched for the secrets they used. Arguments choose test files (`npm test -- test/rules`);
 * those that begin with `-` go to `node --test` (`--test-name-pattern=…`), and then each file has a process of its own.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { newCanaryWord } from '../../test/harness/canary-word.ts'
import { startServices, type TestServices } from '../../test/services/services.ts'
import { FILE_TIME_MAX_MS, writeBatches } from './batches.ts'
import type { TestCounts } from './count-tests.ts'
import { testEnvironment } from './environment.ts'
import { leaksLeft } from './find-leaks.ts'
import { findTests, selectTests } from './find-tests.ts'
import { formatDuration, runGroup, untilSignalled } from './run-group.ts'
import { temporaryFolder } from './temporary-folder.ts'

const PROCESSES_AT_ONCE = 3
const SUITE_TIME_MAX_MS = 60 * 60_000
const CHECK_TIME_MAX_MS = 5 * 60_000
/** Of each kind of problem, in the line that sums up. */
const PLACES_SHOWN_MAX = 20

/** Kept between runs, so that types are checked again only where something changed. */
const TYPES_SEEN = 'node_modules/.cache/earthflow-test/types.json'

const root = dirname(dirname(import.meta.dirname))
process.chdir(root)
process.env.TMPDIR = temporaryFolder(process.env.TMPDIR)
const startedAt = Date.now()
const signal = untilSignalled()
const options = process.argv.slice(2).filter((arg) => arg.startsWith('-'))
const filters = process.argv.slice(2).filter((arg) => !arg.startsWith('-'))

let starting: Promise<TestServices> | undefined
try {
  const files = selectTests(findTests(root), filters, root)
  starting = startServices()
  const [services, ...checks] = await Promise.all([
    starting,
    check('format and lint', 'biome', ['check']),
    check('types', 'tsc', ['--noEmit', '--incremental', '--tsBuildInfoFile', TYPES_SEEN]),
  ])
  for (const line of services.about) say(line)
  const results = [...checks, await runTests(files, services)]
  say(`npm test: ${results.map((result) => result.text).join(' · ')} · ${formatDuration(Date.now() - startedAt)}`)
  process.exitCode = results.every((result) => result.passed) ? 0 : 1
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
} finally {
  const services = await starting?.catch(() => undefined)
  await services?.stop()
}

interface Result {
  passed: boolean
  text: string
}

async function check(name: string, command: string, args: readonly string[]): Promise<Result> {
  const end = await runGroup(command, args, { env: process.env, signal, timeMaxMs: CHECK_TIME_MAX_MS })
  const passed = end.kind === 'ended' && end.code === 0
  return { passed, text: `${name} ${passed ? 'passed' : end.kind === 'ended' ? 'FAILED' : end.kind.toUpperCase()}` }
}

async function runTests(files: readonly string[], services: TestServices): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-counts-'))
  const countsFile = join(folder, 'counts.json')
  const canary = newCanaryWord()
  try {
    const args = [
      '--test',
      `--test-concurrency=${PROCESSES_AT_ONCE}`,
      `--test-timeout=${FILE_TIME_MAX_MS}`,
      `--test-reporter=${join(import.meta.dirname, 'count-tests.ts')}`,
      `--test-reporter-destination=${countsFile}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      ...options,
      ...(options.length === 0 ? writeBatches(files, join(folder, 'batches')) : files),
    ]
    const end = await runGroup(process.execPath, args, { env: testEnvironment(process.env, services, canary), signal, timeMaxMs: SUITE_TIME_MAX_MS })
    if (end.kind !== 'ended') return { passed: false, text: `tests ${end.kind.toUpperCase()}` }
    const left = leaksLeft(canary, { since: startedAt, except: folder })
    return judge(end.code, readCounts(countsFile), files, left)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function readCounts(path: string): TestCounts | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as TestCounts
  } catch {
    return null // node --test died before it could report.
  }
}

function judge(code: number | null, counts: TestCounts | null, files: readonly string[], left: readonly string[]): Result {
  if (counts === null) return { passed: false, text: 'tests BROKE OFF' }
  // Where options were given, files are not suites, and with a name pattern it is normal that one has no matching test.
  const known = options.length > 0 ? { ...counts, files, failedFiles: [], emptyFiles: [] } : counts
  const problems = {
    'FAILED IN': known.failedFiles,
    'BROKEN OFF IN': files.filter((file) => !known.files.includes(file)),
    'NO TEST IN': known.emptyFiles,
    'SECRETS IN': [...counts.leaks, ...left],
  }
  const parts = [`${counts.tests} tests in ${files.length} files`]
  if (counts.failed + counts.cancelled > 0) parts.push(`${counts.failed + counts.cancelled} FAILED`)
  if (counts.skipped + counts.todo > 0) parts.push(`${counts.skipped + counts.todo} skipped`)
  for (const [problem, places] of Object.entries(problems)) if (places.length > 0) parts.push(`${problem} ${places.slice(0, PLACES_SHOWN_MAX).join(', ')}`)
  return { passed: code === 0 && counts.tests > 0 && Object.values(problems).every(({ length }) => length === 0), text: parts.join(', ') }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
