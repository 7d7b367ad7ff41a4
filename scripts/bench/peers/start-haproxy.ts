import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createServerFolder, freePort, startServer } from '../../../test/services/server-process.ts'
import { answers } from '../ask.ts'
import { bringProgram } from '../bring-tools.ts'
import type { Ground } from '../ground.ts'
import { family, onCore } from '../processes.ts'
import { keepsNothing, type Running } from '../running.ts'

export async function startHaproxy({ cores, providerPort, certificate }: Ground, isTls: boolean): Promise<Running> {
  const { program, env } = await bringProgram('haproxy')
  const port = await freePort()
  const folder = createServerFolder({})
  const config = join(folder, 'haproxy.cfg')
  await writeFile(config, configuration(port, providerPort, isTls ? certificate.bothPath : null))
  const server = await startServer({
    name: 'HAProxy',
    command: 'taskset',
    args: onCore(cores.server, program, ['-db', '-f', config]),
    env,
    account: {},
    folder,
    stopSignal: 'TERM',
    ready: () => answers(`${isTls ? 'https' : 'http'}://127.0.0.1:${port}/`, { method: 'POST', body: '{}' }),
  })
  return { ...keepsNothing, port, isTls, pids: await family(server.pid), folder: null, stop: server.stop }
}

/** Without http-no-delay it holds back chunks of a stream. */
const configuration = (port: number, providerPort: number, certificatePath: string | null): string => `
global
  nbthread 1
defaults
  mode http
  option http-no-delay
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 120s
  timeout server 120s
frontend calls
  bind 127.0.0.1:${port} backlog 4096${certificatePath === null ? '' : ` ssl crt ${certificatePath} alpn http/1.1`}
  default_backend provider
backend provider
  server one 127.0.0.1:${providerPort} pool-max-conn -1
`
