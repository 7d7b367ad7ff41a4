/** Earthflow as a process of its own, in production mode behind a TLS proxy that is us, so that it can be killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../services/server-process.ts'
import { canaries } from './canaries.ts'
import { canaryMasterKey, canarySecret } from './canary-word.ts'
import { createClient, type Tenant, until } from './client.ts'

export interface Installation {
  environment: Record<string, string>
  port: number
  adminKey: string
  remove(): void
}

/** What several starts have in common: secrets, port, data folder, database. */
export async function prepareInstallation(databaseUrl: string, more: Record<string, string> = {}): Promise<Installation> {
  const port = await freePort()
  const adminKey = canarySecret('admin-key-')
  const masterKey = canaryMasterKey()
  canaries.secret('the master key', masterKey)
  const dataDir = mkdtempSync(join(tmpdir(), 'earthflow-process-'))
  const environment = {
    PATH: process.env.PATH ?? '',
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? '',
    EARTHFLOW_ENV: 'production',
    EARTHFLOW_TLS: 'terminated',
    TRUSTED_PROXIES: '127.0.0.1',
    EARTHFLOW_HOST: '127.0.0.1',
    EARTHFLOW_PORT: String(port),
    EARTHFLOW_SERVICES: 'proxy',
    EARTHFLOW_MASTER_KEY: masterKey,
    EARTHFLOW_ADMIN_API_KEY: adminKey,
    EARTHFLOW_DATA_DIR: dataDir,
    EGRESS_ALLOW: 'loopback',
    EARTHFLOW_DRAIN_SECONDS: '1',
    DATABASE_URL: databaseUrl,
    ...more,
  }
  return { environment, port, adminKey, remove: () => rmSync(dataDir, { recursive: true, force: true }) }
}

/** Its log is kept, and read as it comes, unless it goes to `/dev/null`, where it costs the machine least. */
export async function startProcess({ environment, port, adminKey }: Installation, tenant: () => Tenant, log: 'kept' | 'dropped' = 'kept') {
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, '..', '..', 'src', 'main.ts'), 'start'], {
    env: environment,
    stdio: ['ignore', log === 'kept' ? 'pipe' : 'ignore', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk) => {
      output = (output + String(chunk)).slice(-100_000)
    })
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  const client = createClient({ port, adminKey, tenant })
  const isReady = async (): Promise<boolean> => {
    if (child.exitCode !== null) throw new Error(`Earthflow ended before it was ready:\n${output}`)
    return fetch(`${client.origin}/health/ready`).then(
      ({ ok }) => ok,
      () => false,
    )
  }
  await until(isReady, 'Earthflow to be ready')
  return {
    ...client,
    pid: child.pid ?? 0,
    output: () => output,
    /** Nobody reads its log any more. */
    closeOutput() {
      child.stdout?.destroy()
      child.stderr?.destroy()
    },
    isAlive: () => child.exitCode === null && child.signalCode === null,
    exited,
    /** Throws where its output holds what must never be written (see canaries.ts). */
    async kill(signal: NodeJS.Signals): Promise<void> {
      child.kill(signal)
      await exited
      await canaries.check([{ name: 'the output of a process', bytes: Buffer.from(output) }])
    },
  }
}
