import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { caseNamed } from '../cases.ts'
import { ON, setupNamed } from '../earthflow/configurations.ts'
import { startEarthflow } from '../earthflow/start-earthflow.ts'
import { emptyLog, type Ground } from '../ground.ts'
import { runLoad } from '../load.ts'
import { residentKib } from '../processes.ts'
import type { Minute, Steady } from '../result.ts'

const SHARE = 0.7
const PEAK_SECONDS = 5
const WARM_CALLS = 20_000
const MINUTE_SECONDS = 60

/** So many minutes at 70 % of what governance on can do, measured before. */
export async function measureSteady(ground: Ground, minutes: number, { signal, say }: { signal: AbortSignal; say(line: string): void }): Promise<Steady> {
  const running = await startEarthflow(ground, setupNamed(ON))
  try {
    const { body, connections } = caseNamed('plain')
    const bodyFile = join(ground.folder, 'steady.json')
    await writeFile(bodyFile, body)
    const load = async (rate: number, seconds: number, callsMax?: number) => {
      const run = { program: ground.tools.load, core: ground.cores.load, target: running, bodyFile, signal, seconds, warmSeconds: 0 }
      const seen = await runLoad({ ...run, shape: { connections, rate }, ...(callsMax === undefined ? {} : { callsMax }) })
      if (running.folder !== null) await emptyLog(running.folder)
      return seen
    }
    await load(0, MINUTE_SECONDS, WARM_CALLS)
    const peakRps = (await load(0, PEAK_SECONDS)).ok_rps
    const steady: Steady = { peakRps, rate: Math.round(peakRps * SHARE), minutes: [] }
    for (let i = 1; i <= minutes; i++) {
      const seen = await load(steady.rate, MINUTE_SECONDS)
      const minute: Minute = {
        p50: seen.lat_us.p50 / 1000,
        p99: seen.lat_us.p99 / 1000,
        residentMb: (await residentKib(running.pids)) / 1024,
        rps: seen.ok_rps,
        failed: seen.non2xx + seen.errs + seen.lost,
      }
      steady.minutes.push(minute)
      say(`minute ${i} of ${minutes}: p50 ${minute.p50.toFixed(2)} ms, p99 ${minute.p99.toFixed(2)} ms, ${minute.residentMb.toFixed(0)} MB`)
    }
    return steady
  } finally {
    await running.stop()
  }
}
