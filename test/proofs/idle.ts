import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { startProvider } from '../harness/provider.ts'
import { startPostgres } from '../services/postgres.ts'

export const about = '60 s in which nobody calls: no sync of the disk, no statement but the heartbeat and the poll, less than 0.5 % of a core'

export const rests = true

const IDLE_MS = 60_000
/** After the last call: its row, the checkpoint, when keys were last used, and the chores of a start. */
const SETTLE_MS = 40_000
const CPU_SHARE_MAX = 0.005
const TICKS_PER_SECOND = 100

const expected: Record<string, RegExp> = { heartbeat: /insert into processes /i, poll: /from "?changes"?/i }

export default async function prove({ short, say }: ProofContext): Promise<void> {
  const server = await startPostgres(undefined, { log_statement: 'all', log_min_duration_statement: '-1' })
  const installation = await prepareInstallation(server.url)
  const provider = await startProvider()
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  try {
    const earthflow = await startProcess(installation, () => tenant)
    tenant = await earthflow.newTenant()
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    for (let i = 0; i < 20; i++) assert.equal((await earthflow.post('/v1/chat/completions', chat('x'))).status, 200)
    const metrics = async (): Promise<string> =>
      (await fetch(`${earthflow.origin}/v1/dashboard/metrics`, { headers: { authorization: `Bearer ${installation.adminKey}` } })).text()
    const syncs = async (): Promise<number> => Number(/^earthflow_audit_spool_syncs_total (\d+)/m.exec(await metrics())?.[1])
    await until(async () => /^earthflow_audit_backlog 0$/m.test(await metrics()), 'every row to be written')
    await sleep(SETTLE_MS)

    const before = { syncs: await syncs(), cpu: cpuSeconds(earthflow.pid), log: server.log().length }
    await sleep(short ? IDLE_MS / 10 : IDLE_MS)
    const cpu = cpuSeconds(earthflow.pid) - before.cpu
    const statements = statementsIn(server.log().slice(before.log))
    const synced = (await syncs()) - before.syncs
    const seconds = (short ? IDLE_MS / 10 : IDLE_MS) / 1000
    const kinds = Object.entries(expected).map(([name, pattern]) => `${statements.filter((one) => pattern.test(one)).length} × ${name}`)
    const others = statements.filter((one) => !Object.values(expected).some((pattern) => pattern.test(one)))
    say(`${seconds} s: ${synced} syncs; ${kinds.join(', ')}, ${others.length} other statements; ${((100 * cpu) / seconds).toFixed(2)} % of a core`)
    assert.deepEqual([synced, others], [0, []])
    if (!short) assert.ok(cpu / seconds < CPU_SHARE_MAX, 'it rests')
    await earthflow.kill('SIGTERM')
  } finally {
    provider.close()
    installation.remove()
    await server.stop()
  }
}

/** Of all its threads, in user and kernel mode (proc(5), fields 14 and 15). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** A log line each, `LOG:  statement: …` or `LOG:  execute <name>: …`; the lines of a statement are put together. */
const statementsIn = (log: string): string[] =>
  log
    .split(/^.*LOG: {2}(?=statement: |execute [^:]*: )/m)
    .slice(1)
    .map((one) =>
      one
        .replace(/\n.*(?:DETAIL|LOG|ERROR): [\s\S]*$/, '')
        .replaceAll(/\s+/g, ' ')
        .trim(),
    )
