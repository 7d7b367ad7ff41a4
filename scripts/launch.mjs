/**
 * Starts Earthflow or one of its chores on a fresh clone: installs what is missing, finds a Node that is new enough, and runs the right script on it.
 * Plain JavaScript without dependencies, because it runs before anything is installed and on whatever Node the machine has (18 or later).
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_NEEDED = [24, 12]
const INSTALL_WAIT_MAX_MS = 10 * 60_000
const INSTALL_POLL_MS = 200
const PARENT_POLL_MS = 1_000
/** The terminal signals the whole group and npm passes the same signal on: two deliveries this close together are one key press. */
const SAME_SIGNAL_MS = 500
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, 'node_modules')

/** So that nothing but the first start compiles, or loads what strips types: a third of the time and 20 MB less. */
const compiled = join(modules, '.cache', 'earthflow', 'compiled')
/** What each verb runs. `start` is development; production runs `scripts/earthflow` or `node src/main.ts`, which install nothing. */
const verbs = {
  start: { script: 'src/main.ts', flags: ['--max-semi-space-size=16'], env: { EARTHFLOW_ENV: 'development', NODE_COMPILE_CACHE: compiled } },
  test: { script: 'scripts/dev/test.ts', flags: [], env: {} },
  prove: { script: 'scripts/dev/prove.ts', flags: [], env: {} },
  bench: { script: 'scripts/bench/bench.ts', flags: [], env: {} },
  'bench:check': { script: 'scripts/bench/bench-check.ts', flags: [], env: {} },
  docs: { script: 'scripts/dev/doc-tables.ts', flags: [], env: {} },
  'bench:rules': { script: 'scripts/bench/rules/bench-rules.ts', flags: [], env: {} },
}

/** The packages that may bring a Node for this machine, as package-lock.json names them. */
const packagedNodes = ['node', 'node-bin'].map((each) => `node_modules/${each}-${process.platform}-${process.arch}`)

const [name, ...args] = process.argv.slice(2)
if (!Object.hasOwn(verbs, name ?? '')) stop(`Say what to run: ${Object.keys(verbs).join(', ')}.`)

if (!isInstalled()) await install()
const node = findNode()
if (node === null) {
  stop(
    `Earthflow needs Node ${NODE_NEEDED.join('.')} or later; this is ${process.versions.node}, and no packaged Node exists for ${process.platform} ${process.arch}. Install Node 26 and try again.`,
  )
}
run(node, verbs[name])

/** The Node to run on: this one when it is new enough, else the one that came as a package; null when there is neither. */
function findNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > NODE_NEEDED[0] || (major === NODE_NEEDED[0] && minor >= NODE_NEEDED[1])) return process.execPath
  return packagedNodes.map((each) => join(root, each, 'bin', 'node')).find((path) => existsSync(path)) ?? null
}

/**
 * Whether node_modules holds what package-lock.json asks for. npm writes node_modules/.package-lock.json as the last act of an install, so
 * comparing the two also notices an interrupted install, and accepts one made by hand with `npm ci` or `npm install`.
 */
function isInstalled() {
  const wanted = packagesOf(join(root, 'package-lock.json'))
  if (wanted === null) stop('package-lock.json is missing or unreadable: this is not a complete copy of Earthflow.')
  const present = packagesOf(join(modules, '.package-lock.json'))
  if (present === null || (findNode() === null && packagedNodes.some((path) => path in wanted))) return false
  for (const [path, entry] of Object.entries(wanted)) {
    const found = present[path]
    if (path === '' || (found === undefined && (entry.optional || entry.devOptional))) continue
    if (found?.version !== entry.version || (found.integrity && entry.integrity && found.integrity !== entry.integrity)) return false
  }
  return Object.keys(present).every((path) => path in wanted)
}

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? null
  } catch {
    return null
  }
}

/** Runs `npm ci`, one launch at a time: a second launch waits for the first and then finds everything in place. */
async function install() {
  const lock = join(root, '.earthflow-install')
  const giveUpAt = Date.now() + INSTALL_WAIT_MAX_MS
  while (!takeLock(lock)) {
    if (Date.now() > giveUpAt) stop(`Another launch is still installing. If none is running, delete ${lock} and try again.`)
    await new Promise((resolve) => setTimeout(resolve, INSTALL_POLL_MS))
  }
  const release = () => rmSync(lock, { recursive: true, force: true })
  process.on('exit', release)
  if (!isInstalled()) {
    process.stderr.write('Installing what Earthflow needs (once) ...\n')
    const problem = await npmCi()
    if (problem !== null) stop(`Installing failed: ${problem}. Check the network and the npm registry, then try again.`)
  }
  release()
  process.off('exit', release)
}

/** The lock is a directory that appears complete, by renaming, so that nobody sees it without its owner. A dead owner loses it. */
function takeLock(lock) {
  const mine = `${lock}.${process.pid}`
  try {
    rmSync(mine, { recursive: true, force: true })
    mkdirSync(mine)
    writeFileSync(join(mine, 'pid'), String(process.pid))
  } catch (error) {
    stop(`Something must be installed, and ${root} cannot be written (${error.code}).`)
  }
  try {
    renameSync(mine, lock)
    return true
  } catch {
    rmSync(mine, { recursive: true, force: true })
  }
  let owner
  let tooOld
  try {
    owner = Number(readFileSync(join(lock, 'pid'), 'utf8'))
    tooOld = Date.now() - statSync(lock).mtimeMs > INSTALL_WAIT_MAX_MS
  } catch {
    return false // Released this moment: the next round takes it.
  }
  if (owner === process.pid || tooOld || !isAlive(owner)) rmSync(lock, { recursive: true, force: true })
  return false
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Resolves to null, or to what went wrong. Install scripts never run: nothing Earthflow uses needs one. */
function npmCi() {
  const flags = ['ci', '--ignore-scripts', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error']
  const cli = process.env.npm_execpath
  const [command, before] = cli && basename(cli) === 'npm-cli.js' ? [process.execPath, [cli]] : ['npm', []]
  const env = { ...process.env }
  delete env.npm_config_local_prefix // Set by the npm that runs us; from another project it would point there.
  return new Promise((resolve) => {
    const child = spawn(command, [...before, ...flags], { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] })
    const quit = (signal) => child.kill(signal)
    process.once('SIGINT', quit).once('SIGTERM', quit)
    child.on('error', (error) => resolve(`npm could not be run (${error.code})`))
    child.on('exit', (code, signal) => {
      process.off('SIGINT', quit).off('SIGTERM', quit)
      resolve(code === 0 ? null : `npm ended with ${signal ?? `exit code ${code}`}`)
    })
  })
}

/**
 * Runs the script and becomes it, as far as the caller can tell: same output, same signals, same end. The child gets a process group of its own, so
 * that Ctrl-C reaches it once, through us, and not a second time from the terminal.
 */
function run(node, { script, flags, env }) {
  const path = [join(modules, '.bin'), dirname(node), process.env.PATH].join(delimiter)
  const follow = ['--import', new URL('./leave-with-parent.mjs', import.meta.url).href]
  const child = spawn(node, [...flags, ...follow, join(root, script), ...args], {
    cwd: root,
    env: { ...env, ...process.env, PATH: path },
    stdio: 'inherit',
    detached: true,
  })

  const forwarded = new Map()
  const forward = (signal) => {
    const now = Date.now()
    if (now - (forwarded.get(signal) ?? 0) < SAME_SIGNAL_MS) return
    forwarded.set(signal, now)
    child.kill(signal)
  }
  for (const signal of SIGNALS) process.on(signal, forward)

  // Under npm our parent lives as long as we are wanted. Started by hand it may leave (`… & exit`), and that means nothing.
  const parent = process.ppid
  if (process.env.npm_lifecycle_event) setInterval(() => process.ppid !== parent && forward('SIGTERM'), PARENT_POLL_MS).unref()

  child.on('error', (error) => stop(`${node} could not be run (${error.code}). Install Node 26 and try again.`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    // End the way the child did. Should the signal not end us, the exit code says it as a shell would.
    for (const each of SIGNALS) process.removeAllListeners(each)
    process.exitCode = 128 + (constants.signals[signal] ?? 0)
    process.kill(process.pid, signal)
  })
}

function stop(sentence) {
  process.stderr.write(`${sentence}\n`)
  process.exit(1)
}
