import { randomBytes } from 'node:crypto'
import postgres from 'postgres'
import { runCommand } from '../../test/services/run-command.ts'
import { cpuSeconds, family, parentOf } from './processes.ts'

export interface FreshDatabase {
  url: string
  /** CPU seconds the database server has used so far; null when it is not a process of this machine. */
  cpuSeconds(): Promise<number | null>
  /** Drops the database. */
  close(): Promise<void>
}

/** A database of its own on the server. */
export async function createFreshDatabase(serverUrl: string): Promise<FreshDatabase> {
  const sql = postgres(serverUrl, { max: 1, onnotice: () => {} })
  const name = `earthflow_bench_${randomBytes(6).toString('hex')}`
  await sql.unsafe(`create database ${name}`)
  const pid = await serverPid(sql)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return {
    url: url.href,
    cpuSeconds: async () => (pid === null ? null : cpuSeconds(await family(pid))),
    async close() {
      await sql.unsafe(`drop database if exists ${name} with (force)`)
      await sql.end()
    },
  }
}

/** Pins the database server to the core, where it runs on this machine and that is allowed. Returns how to give it its cores back. */
export async function pinDatabaseServer(serverUrl: string, core: number): Promise<() => Promise<void>> {
  const sql = postgres(serverUrl, { max: 1, onnotice: () => {} })
  const pid = await serverPid(sql).finally(() => sql.end())
  return pid === null ? async () => {} : pin(pid, core)
}

/** The parent of our own backend. On another machine the number means nothing, so the process must call itself postgres and be what we talk to. */
async function serverPid(sql: postgres.Sql): Promise<number | null> {
  const [backend] = await sql<
    [{ pid: number; local: boolean }]
  >`select pg_backend_pid() as pid, inet_server_addr() is null or inet_server_addr() << '127.0.0.0/8' as local`
  return backend.local ? parentOf(backend.pid) : null
}

/** Pins a process and its family; those it starts later inherit it. Returns how to undo it, which is nothing where it was not allowed. */
async function pin(pid: number, core: number): Promise<() => Promise<void>> {
  const pinAll = async (cores: string) => {
    for (const member of await family(pid)) await runCommand('taskset', ['-acp', cores, String(member)])
  }
  try {
    const cores = /: (.+)$/m.exec(await runCommand('taskset', ['-cp', String(pid)]))![1]!
    await pinAll(String(core))
    return () => pinAll(cores).catch(() => {})
  } catch {
    return async () => {}
  }
}
