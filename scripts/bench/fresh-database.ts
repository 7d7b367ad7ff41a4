import { randomBytes } from 'node:crypto'
import postgres from 'postgres'
import { cpuSeconds, family, parentOf, pin } from './processes.ts'

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

/** Pins the database server to cores (as taskset lists them), where it runs on this machine and that is allowed. Returns how to give it its cores back. */
export async function pinDatabaseServer(serverUrl: string, cores: string): Promise<() => Promise<void>> {
  const sql = postgres(serverUrl, { max: 1, onnotice: () => {} })
  const pid = await serverPid(sql).finally(() => sql.end())
  return pid === null ? async () => {} : pin(pid, cores)
}

/** The parent of our own backend. On another machine the number means nothing, so the process must call itself postgres and be what we talk to. */
async function serverPid(sql: postgres.Sql): Promise<number | null> {
  const [backend] = await sql<
    [{ pid: number; local: boolean }]
  >`select pg_backend_pid() as pid, inet_server_addr() is null or inet_server_addr() << '127.0.0.0/8' as local`
  return backend.local ? parentOf(backend.pid) : null
}
