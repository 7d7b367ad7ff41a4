/**
 * Loaded with --import before the program: answers on a socket of the file system what only the process itself knows. POST /profile/start and
 * /profile/stop: a CPU profile of the main thread; POST /loop/start and /loop/stop: how late the event loop was, in milliseconds.
 */
import { createServer } from 'node:http'
import { Session } from 'node:inspector/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

const SAMPLE_US = 250
const LOOP_RESOLUTION_MS = 1

const socketPath = process.env.BENCH_INSIDE
if (isMainThread && socketPath) listen(socketPath)

function listen(path: string): void {
  const session = new Session()
  const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS })
  const acts: Record<string, () => unknown> = {
    '/profile/start': async () => {
      session.connect()
      await session.post('Profiler.enable')
      await session.post('Profiler.setSamplingInterval', { interval: SAMPLE_US })
      await session.post('Profiler.start')
      return null
    },
    '/profile/stop': async () => {
      const { profile } = await session.post('Profiler.stop')
      session.disconnect()
      return profile
    },
    '/loop/start': () => {
      loop.reset()
      loop.enable()
      return null
    },
    '/loop/stop': () => {
      loop.disable()
      // Each is the time from one look to the next.
      const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - LOOP_RESOLUTION_MS)
      return { p50: late(loop.percentile(50)), p99: late(loop.percentile(99)), max: late(loop.max) }
    },
  }
  const server = createServer(async (request, response) => {
    const answer = await acts[request.url ?? '']?.()
    response.end(JSON.stringify(answer ?? null))
  })
  server.listen(path).unref()
}
