/** Starts Earthflow, as one process or as several, and stops it in order. */
import cluster from 'node:cluster'
import { setTimeout as delay } from 'node:timers/promises'
import { collectGarbage } from './collect-garbage.ts'
import { type Config, configOfProcess } from './config.ts'
import type { Lead } from './drain.ts'
import { configOrExit, EXIT_FAILED } from './exit.ts'
import { ensureDemo, ensureOwner, firstCommands, provideSecret } from './first-run.ts'
import { openProcessLog, type ProcessLog } from './process-log.ts'
import { createEarthflow, type Earthflow, version } from './services.ts'
import { describeError, type Log } from './telemetry/log.ts'
import { whyNot } from './why-not.ts'
import { forkWorker } from './workers/fork.ts'
import { createPrimary } from './workers/primary.ts'
import { linkToPrimary } from './workers/primary-link.ts'

/** How long a start that is not wanted any more may take to end: nobody was served yet, and what it had begun it, or another, begins anew. */
const UNWANTED_MS_MAX = 3_000

/** Returns when the process is about to end. */
export async function start(): Promise<void> {
  const config = configOrExit(() => configOfProcess(provideSecret))
  const host = configOrExit(() => openProcessLog(config))
  if (config.unknown.length > 0 && cluster.isPrimary) host.log.warn({ names: config.unknown }, 'these variables are no settings of Earthflow')
  const run = config.workers === 1 && cluster.isPrimary ? runAlone : cluster.isPrimary ? runPrimary : runWorker
  await run(config, host).then(host.exit, host.die)
}

async function runAlone(config: Config, { log }: ProcessLog): Promise<number> {
  // A terminal that is closed says SIGHUP.
  const stop = stopOn(['SIGTERM', 'SIGINT', 'SIGHUP'], config, log)
  process.once('SIGHUP', () =>
    log.warn('SIGHUP stops Earthflow where it is one process; with EARTHFLOW_WORKERS of 2 or more it replaces the processes without a stop'),
  )
  const earthflow = await begin(createEarthflow(config, log), config, log, stop.asked)
  if (typeof earthflow === 'number') return earthflow
  const { port, dashboardPort } = earthflow
  log.info({ ...(config.services !== 'dashboard' && { port }), dashboard_port: dashboardPort, version, environment: config.env }, 'Earthflow listens')
  if (config.env === 'development' && config.services === 'dashboard') {
    const { ownerPath } = await prepare(earthflow, config)
    process.stdout.write(`\nThe dashboard is ready at http://localhost:${dashboardPort}; the password of the owner is the content of ${ownerPath}\n\n`)
  } else if (config.env === 'development') greet(earthflow, await prepare(earthflow, config))
  await earthflow.stop(stop.hurry, await stop.asked)
  log.info('Earthflow stopped')
  return 0
}

async function runPrimary(config: Config, { log }: ProcessLog): Promise<number> {
  const stop = stopOn(['SIGTERM', 'SIGINT'], config, log)
  let restart = (): void => {}
  process.on('SIGHUP', () => restart())
  /** Of all processes, as soon as there are others. */
  let page = (): Promise<string | null> => Promise.resolve(null)
  const earthflow = await begin(createEarthflow(config, log, { serves: false, tellTender: null, page: () => page() }), config, log, stop.asked)
  if (typeof earthflow === 'number') return earthflow
  const paths = config.env === 'development' ? await prepare(earthflow, config) : null
  const { nudge, metrics } = earthflow
  const primary = createPrimary({ size: config.workers, fork: forkWorker, nudge, metrics, drainMs: config.drainMs, log })
  page = primary.page
  const stopped = stop.asked.then(async (lead) => {
    stop.hurry.addEventListener('abort', () => primary.hurry())
    await primary.stop(lead)
  })
  const first = await primary.start()
  const isServing = 'port' in first
  if (isServing) {
    restart = () => primary.restart()
    log.info({ port: first.port, dashboard_port: earthflow.dashboardPort, version, environment: config.env, workers: config.workers }, 'Earthflow listens')
    if (paths) greet({ ...first, sandbox: earthflow.sandbox, dashboardPort: earthflow.dashboardPort }, paths)
    await stopped
  }
  // A stop that was asked for meanwhile is why the first has ended.
  const wasAsked = isServing || (await Promise.race([stop.asked.then(() => true), Promise.resolve(false)]))
  await earthflow.stop(stop.hurry)
  log.info('Earthflow stopped')
  return wasAsked ? 0 : first.code
}

async function runWorker(config: Config, { log }: ProcessLog): Promise<number> {
  const link = linkToPrimary((error) => log.error(describeError(error), 'the metrics of this process could not be told'))
  // A terminal tells all processes of it, and the primary tells its workers.
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
  const told = Promise.withResolvers<Lead>()
  process.on('SIGTERM', () => {
    link.leave()
    told.resolve('accepting')
  })
  const asked = Promise.race([link.leaving, told.promise])
  const earthflow = await begin(createEarthflow(config, log, { serves: true, tellTender: link.nudge, page: link.page }), config, log, asked)
  if (typeof earthflow === 'number') return earthflow
  link.answer(earthflow.metrics.figures)
  link.ready(earthflow)
  await earthflow.stop(link.hurry, await asked)
  await link.last(await earthflow.metrics.figures())
  return 0
}

/** Resolves when it has started; with an exit code where it cannot, or was told meanwhile to stop. */
async function begin(starting: Promise<Earthflow>, config: Config, log: Log, asked: Promise<unknown>): Promise<Earthflow | number> {
  try {
    const started = await Promise.race([starting, asked.then(() => null)])
    if (started) {
      collectGarbage() // now, since next to nobody waits yet
      return started
    }
    const ended = starting.then((earthflow) => earthflow.stop(AbortSignal.abort()))
    await Promise.race([ended, delay(UNWANTED_MS_MAX)]).catch(() => {})
    log.info('Earthflow stopped before it had started')
    return 0
  } catch (error) {
    process.stderr.write(`Earthflow cannot start: ${whyNot(error, { proxy: config.port, dashboard: config.dashboard.port })}\n`)
    log.fatal(describeError(error), 'Earthflow cannot start')
    return EXIT_FAILED
  }
}

/** The first signal asks to stop in order, every other one to hurry. Only one that a supervisor sends has balancers to think of. */
function stopOn(signals: readonly NodeJS.Signals[], config: Config, log: Log): { asked: Promise<Lead>; hurry: AbortSignal } {
  const { promise: asked, resolve } = Promise.withResolvers<Lead>()
  const hurry = new AbortController()
  let isAsked = false
  const ask = (signal: NodeJS.Signals): void => {
    if (isAsked) hurry.abort()
    isAsked = true
    log.info({ signal }, 'Earthflow stops: open calls may end, new ones are refused')
    resolve(signal === 'SIGTERM' && config.env !== 'development' ? 'accepting' : 'none')
  }
  for (const signal of signals) process.on(signal, ask)
  return { asked, hurry: hurry.signal }
}

interface Paths {
  demoPath: string
  ownerPath: string
}

const prepare = async (earthflow: Earthflow, config: Config): Promise<Paths> => ({
  demoPath: await ensureDemo(earthflow, config),
  ownerPath: await ensureOwner(earthflow, config),
})

function greet({ port, caPath, sandbox, dashboardPort }: Pick<Earthflow, 'port' | 'caPath' | 'sandbox' | 'dashboardPort'>, paths: Paths): void {
  process.stdout.write(`\n${firstCommands({ port, caPath, sandbox, dashboardPort, ...paths })}\n`)
}
