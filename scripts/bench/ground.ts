/** What all servers of a run stand on: the provider, the load generator, the database server, a certificate. */
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureDevelopmentCertificate } from '../../src/proxy/certificates.ts'
import { createServerFolder, freePort, startServer } from '../../test/services/server-process.ts'
import { answers } from './ask.ts'
import { compileTools, type Tools } from './bring-tools.ts'
import { PROVIDER_BODY_BYTES, PROVIDER_CHUNKS } from './cases.ts'
import { createFreshDatabase, type FreshDatabase, pinDatabaseServer } from './fresh-database.ts'
import { type Cores, chooseCores, onCore, pin } from './processes.ts'

export interface Ground {
  cores: Cores
  tools: Tools
  providerPort: number
  /** Nothing else is in it but what the run puts there. */
  folder: string
  certificate: { certPath: string; keyPath: string; bothPath: string; authorityPath: string }
  /** Null where there is none to be had. */
  redisUrl: string | null
  newDatabase(): Promise<FreshDatabase>
  /** Lets provider and database run on every core, for servers that are pinned to none. Returns how to pin them again. */
  spread(): Promise<() => Promise<void>>
}

/** Where load, provider and database run is one core, the server under test has the other. What was started ends with the disposal. */
export async function prepareGround(services: { databaseUrl: string; redisUrl: string | null }, cleanUp: AsyncDisposableStack): Promise<Ground> {
  const cores = await chooseCores()
  const folder = createServerFolder({})
  const tools = await compileTools(folder)
  const provider = await startProvider(tools, cores, folder, cleanUp)
  cleanUp.defer(await pinDatabaseServer(services.databaseUrl, String(cores.load)))
  return {
    cores,
    tools,
    providerPort: provider.port,
    folder,
    certificate: await makeCertificate(folder),
    redisUrl: services.redisUrl,
    newDatabase: () => createFreshDatabase(services.databaseUrl),
    async spread() {
      const both = [await pin(provider.pid, cores.all), await pinDatabaseServer(services.databaseUrl, cores.all)]
      return async () => {
        for (const undo of both) await undo()
      }
    },
  }
}

/** The folder of the run is the provider's own: it goes when the provider stops, and both go last. */
async function startProvider(tools: Tools, cores: Cores, folder: string, cleanUp: AsyncDisposableStack): Promise<{ port: number; pid: number }> {
  const port = await freePort()
  const server = await startServer({
    name: 'the fake provider',
    command: 'taskset',
    args: onCore(cores.load, tools.provider, [port, PROVIDER_CHUNKS, 0, PROVIDER_BODY_BYTES]),
    env: process.env,
    account: {},
    folder,
    stopSignal: 'TERM',
    ready: () => answers(`http://127.0.0.1:${port}/`, { method: 'POST', body: '{}' }),
  })
  cleanUp.defer(server.stop)
  return { port, pid: server.pid }
}

/** Of an authority of its own, which nobody is asked to trust; ECDSA P-256. */
async function makeCertificate(folder: string): Promise<Ground['certificate']> {
  const { cert, key, caPath } = await ensureDevelopmentCertificate(join(folder, 'tls'))
  const paths = { certPath: join(folder, 'cert.pem'), keyPath: join(folder, 'key.pem'), bothPath: join(folder, 'both.pem'), authorityPath: caPath }
  await writeFile(paths.certPath, cert)
  await writeFile(paths.keyPath, key)
  await writeFile(paths.bothPath, cert + key)
  return paths
}

/** What a server said so far: a line a call adds up to gigabytes. It goes on at the beginning, for it appends. */
export const emptyLog = (folder: string): Promise<void> => truncate(join(folder, 'log')).catch(() => {})
