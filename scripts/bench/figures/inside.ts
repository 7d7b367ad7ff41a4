/** What is seen from inside of an Earthflow under full load: where its time goes, and how late its event loop is. */
import { writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { caseNamed } from '../cases.ts'
import { ON, setupNamed } from '../earthflow/configurations.ts'
import { startEarthflow } from '../earthflow/start-earthflow.ts'
import { emptyLog, type Ground } from '../ground.ts'
import { type Load, runLoad } from '../load.ts'
import { cpuSeconds, mainThreadSeconds } from '../processes.ts'
import type { LoopDelay, StageShares } from '../result.ts'
import { attribute, type CpuProfile } from './profile.ts'

const WARM_CALLS = 20_000
const WARM_SECONDS_MAX = 8

/** In each of the cases: first the event loop, then a profile, each for so many seconds. */
export async function measureInside(
  ground: Ground,
  names: readonly string[],
  seconds: number,
  signal: AbortSignal,
): Promise<{ stages: StageShares[]; loop: LoopDelay[] }> {
  const socketPath = join(ground.folder, 'inside.sock')
  const running = await startEarthflow(ground, setupNamed(ON), { socketPath })
  const stages: StageShares[] = []
  const loop: LoopDelay[] = []
  try {
    for (const name of names) {
      const shape = caseNamed(name)
      const bodyFile = join(ground.folder, `inside-${name}.json`)
      await writeFile(bodyFile, shape.body)
      const load = async (more: { seconds: number; warmSeconds: number; callsMax?: number }): Promise<Load> => {
        const seen = await runLoad({ program: ground.tools.load, core: ground.cores.load, target: running, bodyFile, shape, signal, ...more })
        if (running.folder !== null) await emptyLog(running.folder)
        return seen
      }
      await load({ seconds: WARM_SECONDS_MAX, warmSeconds: 0, callsMax: WARM_CALLS })
      await tell(socketPath, '/loop/start')
      await load({ seconds, warmSeconds: 0 })
      loop.push({ case: name, ...((await tell(socketPath, '/loop/stop')) as Omit<LoopDelay, 'case'>) })

      await tell(socketPath, '/profile/start')
      const before = { all: await cpuSeconds(running.pids), main: await mainThreadSeconds(running.pids[0]!) }
      const seen = await load({ seconds, warmSeconds: 0 })
      const all = (await cpuSeconds(running.pids)) - before.all
      const main = (await mainThreadSeconds(running.pids[0]!)) - before.main
      const areas = attribute((await tell(socketPath, '/profile/stop')) as CpuProfile)
      // A profile counts time, in which others may have had the core: what is in it is taken as parts of the CPU that the thread had.
      const profiled = areas.reduce((sum, { us }) => sum + us, 0)
      const perCall = (us: number): number => us / Math.max(1, seen.total)
      stages.push({
        case: name,
        callsPerSecond: seen.rps,
        cpuUs: perCall(all * 1e6),
        stages: areas.map(({ name: stage, us }) => ({ name: stage, us: perCall((us / profiled) * main * 1e6) })),
      })
    }
  } finally {
    await running.stop()
  }
  return { stages, loop }
}

function tell(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, path, method: 'POST' }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk) => (text += chunk))
      answer.on('end', () => resolve(JSON.parse(text))).on('error', reject)
    })
    asking.on('error', reject).end()
  })
}
