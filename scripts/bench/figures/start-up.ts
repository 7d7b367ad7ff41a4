import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ON, setupNamed } from '../earthflow/configurations.ts'
import { furnish } from '../earthflow/furnish.ts'
import { prepareInstallation } from '../earthflow/installation.ts'
import { launch } from '../earthflow/start-earthflow.ts'
import type { Ground } from '../ground.ts'
import { family, residentKib } from '../processes.ts'
import type { StartFigures } from '../result.ts'

const IDLE_MS = 10_000

/** With governance on and PostgreSQL: makes an installation, and then starts it again and again. */
export async function measureStartUp(ground: Ground, starts: number): Promise<StartFigures> {
  const on = setupNamed(ON)
  // As the image and the unit of systemd have it.
  const setup = { ...on, env: { ...on.env, NODE_COMPILE_CACHE: join(ground.folder, 'compiled') } }
  const installation = await prepareInstallation(ground, setup)
  try {
    const first = await launch(ground, setup, installation)
    await furnish(ground, setup, installation).finally(first.server.stop)
    const figures: StartFigures = { readyMs: [], idleMb: 0 }
    for (let i = 0; i < starts; i++) {
      const began = performance.now()
      const { server } = await launch(ground, setup, installation)
      figures.readyMs.push(Math.round(performance.now() - began))
      if (i === starts - 1) {
        await sleep(IDLE_MS)
        figures.idleMb = (await residentKib(await family(server.pid))) / 1024
      }
      await server.stop()
    }
    return figures
  } finally {
    await installation.remove()
  }
}
