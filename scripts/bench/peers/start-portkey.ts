import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cached } from '../../../test/services/cache-folder.ts'
import { npm } from '../../../test/services/npm-postgres.ts'
import { createServerFolder, freePort, startServer } from '../../../test/services/server-process.ts'
import { answers } from '../ask.ts'
import type { Ground } from '../ground.ts'
import { family, onCore } from '../processes.ts'
import { keepsNothing, type Running } from '../running.ts'

const PACKAGE = '@portkey-ai/gateway'
const VERSION = '1.15.2'
/** With a newer one it cannot stream on Node: its OpenAI route answers 500, `TypeError: immutable`. */
const OVERRIDES = { '@hono/node-server': '1.13.8' }

export async function startPortkey({ cores, providerPort }: Ground): Promise<Running> {
  const program = await bringPortkey()
  const port = await freePort()
  const folder = createServerFolder({})
  const headers = { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `http://127.0.0.1:${providerPort}/v1` }
  const server = await startServer({
    name: "Portkey's gateway",
    command: 'taskset',
    args: onCore(cores.server, process.execPath, ['--max-semi-space-size=64', program, `--port=${port}`, '--headless']),
    env: { PATH: process.env.PATH, NODE_ENV: 'production' },
    account: {},
    folder,
    stopSignal: 'TERM',
    ready: () =>
      answers(`http://127.0.0.1:${port}/v1/chat/completions`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json', authorization: `Bearer ${keepsNothing.key}` },
        body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }),
      }),
  })
  const sent = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return { ...keepsNothing, headers: sent, port, isTls: false, pids: await family(server.pid), folder, stop: server.stop }
}

/** Installed beside the project, once, without running anything of it. Throws where the registry is out of reach. */
async function bringPortkey(): Promise<string> {
  const entry = await cached(join('npm', `portkey-${VERSION}`), async (folder) => {
    const project = { name: 'bench-peers', version: '0.0.0', private: true, dependencies: { [PACKAGE]: VERSION }, overrides: OVERRIDES }
    await writeFile(join(folder, 'package.json'), JSON.stringify(project))
    await npm(['install', '--ignore-scripts', '--no-audit', '--no-fund', '--legacy-peer-deps', '--loglevel=error'], folder)
  })
  return join(entry, 'node_modules', PACKAGE, 'build', 'start-server.js')
}
