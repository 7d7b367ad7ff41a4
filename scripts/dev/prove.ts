/** `npm run prove [name …] [-- --short]`: runs the proofs named, or all, one after the other; in short form those that rest beside the others. A failing one does not keep the rest from running. */
import { globSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { startServices, type TestServices } from '../../test/services/services.ts'
import { testEnvironment } from './environment.ts'
import { loadProof } from './proof.ts'
import { formatDuration, runGroup, untilSignalled } from './run-group.ts'
import { temporaryFolder } from './temporary-folder.ts'

const PROOF_TIME_MAX_MS = 60 * 60_000
const SHORT_PROOF_TIME_MAX_MS = 6 * 60_000
/** Of those that rest, beside one that does not. */
const RESTING_AT_ONCE = 2

const root = dirname(dirname(import.meta.dirname))
process.chdir(root)
const signal = untilSignalled()
const args = process.argv.slice(2)
// Without `--` before it, npm keeps --short for itself and only leaves this trace; a run of an hour would be a surprise.
const short = args.includes('--short') || process.env.npm_config_short === 'true'
// Where times are judged, databases are on a disk, as they are in production.
if (short) process.env.TMPDIR = temporaryFolder(process.env.TMPDIR)
const wanted = args.filter((arg) => arg !== '--short')
const known = globSync('test/proofs/*.ts')
  .map((path) => basename(path, '.ts'))
  .sort()

const unknown = wanted.filter((name) => !known.includes(name))
if (unknown.length > 0) {
  say(`No proof is called ${unknown.join(', ')}. There ${known.length === 1 ? 'is' : 'are'}:`)
  for (const name of known) say(`  ${name.padEnd(24)} ${await aboutOf(name)}`)
  process.exitCode = 1
} else {
  process.exitCode = await proveAll(wanted.length > 0 ? wanted : known)
}

/** Resolves to the exit code. */
async function proveAll(names: readonly string[]): Promise<number> {
  let passed = 0
  let failed = 0
  let services: TestServices | undefined
  const beside = short && names.length > 1 ? await resting(names) : []
  try {
    services = await startAndSay()
    const ends = proveBeside(beside, services)
    for (const name of [...names.filter((name) => !beside.includes(name)), ...beside]) {
      if (signal.aborted) break
      say(`\n${name}: ${await aboutOf(name)}`)
      const startedAt = Date.now()
      const { problem, seen = '', ms = Date.now() - startedAt } = (await ends.get(name)) ?? { problem: await prove(name, services) }
      process.stdout.write(seen)
      say(`${name}: ${problem === null ? 'passed' : `FAILED (${problem})`} after ${formatDuration(ms)}`)
      if (problem === null) passed++
      else failed++
    }
  } catch (error) {
    say(error instanceof Error ? error.message : String(error))
  } finally {
    await services?.stop()
  }
  const left = names.length - passed - failed
  say(`\nproofs: ${passed} passed, ${failed} failed${left > 0 ? `, ${left} not run` : ''}`)
  return passed === names.length && passed > 0 ? 0 : 1
}

async function startAndSay(): Promise<TestServices> {
  const services = await startServices()
  for (const line of services.about) say(line)
  return services
}

/** Begins at once, with few at a time, and says of each what came of it when it is over. */
function proveBeside(names: readonly string[], services: TestServices): Map<string, Promise<{ problem: string | null; seen: string; ms: number }>> {
  const lanes: Promise<unknown>[] = Array.from({ length: RESTING_AT_ONCE }, () => Promise.resolve())
  return new Map(
    names.map((name, i) => {
      const end = lanes[i % lanes.length]!.then(async () => {
        const startedAt = Date.now()
        let seen = ''
        const problem = await prove(name, services, (text) => {
          seen += text
        }).catch((error: unknown) => `${error}`)
        return { problem, seen, ms: Date.now() - startedAt }
      })
      lanes[i % lanes.length] = end
      return [name, end]
    }),
  )
}

/** Resolves to null when the proof holds, else to what happened. */
async function prove(name: string, services: TestServices, output?: (text: string) => void): Promise<string | null> {
  const timeMaxMs = short ? SHORT_PROOF_TIME_MAX_MS : PROOF_TIME_MAX_MS
  const program = [join(import.meta.dirname, 'run-proof.ts'), fileOf(name), short ? 'short' : 'full']
  const end = await runGroup(process.execPath, program, { env: testEnvironment(process.env, services), signal, timeMaxMs, ...(output && { output }) })
  if (end.kind === 'overtime') return `not finished after ${formatDuration(timeMaxMs)}`
  if (end.kind === 'interrupted') return 'interrupted'
  if (end.code === 0) return null
  return end.signal === null ? `exit code ${end.code}` : `ended by ${end.signal}`
}

async function aboutOf(name: string): Promise<string> {
  try {
    return (await loadProof(fileOf(name))).about
  } catch (error) {
    return `(cannot be read: ${error instanceof Error ? error.message.split('\n')[0] : error})`
  }
}

/** Those of the proofs that mostly wait. One that cannot be read says why when its turn comes. */
async function resting(names: readonly string[]): Promise<string[]> {
  const rest = await Promise.all(
    names.map((name) =>
      loadProof(fileOf(name)).then(
        ({ rests }) => rests === true,
        () => false,
      ),
    ),
  )
  return names.filter((_, i) => rest[i])
}

function fileOf(name: string): string {
  return pathToFileURL(join(root, 'test', 'proofs', `${name}.ts`)).href
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
