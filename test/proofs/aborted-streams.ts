import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import postgres from 'postgres'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until, wire } from '../harness/client.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { chatEvent, SSE, startProvider } from '../harness/provider.ts'

export const about = '1,000 streams whose client hangs up before any usage arrives are each charged for the input and for all that was relayed'

const STREAMS = 1_000
const AT_ONCE = 20
const WORDS = 'hung up on '

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const installation = await prepareInstallation(database.url, services.redisUrl === undefined ? {} : { REDIS_URL: services.redisUrl })
  // It never ends by itself, and never says what it used.
  const provider = await startProvider(({ response }) => {
    response.writeHead(200, SSE)
    const timer = setInterval(() => response.write(chatEvent(WORDS)), 2)
    response.on('close', () => clearInterval(timer))
  })
  const sql = postgres(database.url, { max: 1 })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const earthflow = await startProcess(installation, () => tenant)
  try {
    tenant = await earthflow.newTenant({ max_tokens_per_minute: 1_000_000_000, max_concurrency: 10 * AT_ONCE })
    await earthflow.addUpstream({
      name: 'provider',
      dialects: ['openai-chat'],
      base_url: `${provider.origin}/v1`,
      prices: [{ model: '*', input: 1_000, output: 2_000 }],
    })
    const { id } = (
      await earthflow.admin('POST', `/v1/budgets?tenant_id=${tenant.tenant_id}`, {
        scope: 'tenant',
        amount: 1_000_000,
        unit: 'usd',
        window: 'month',
        mode: 'hard',
      })
    ).json as { id: string }
    const streams = short ? STREAMS / 10 : STREAMS
    const prompt = 'a prompt of forty characters, no less ok.'
    const input = Math.ceil(prompt.length / 4)
    const relayed = new Map<string, number>()
    let next = 0
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (next < streams) {
          const wanted = 1 + (next++ % 40)
          const { auditId, tokens } = await hangUpAfter(
            wanted,
            Number(new URL(earthflow.origin).port),
            wire('/v1/chat/completions', tenant.api_key, chat(prompt, { stream: true })),
          )
          relayed.set(auditId, tokens)
        }
      }),
    )
    await until(async () => (await sql`select 1 from audit_open`).length === 0, 'every exchange to be closed', 30_000)
    const rows = await sql<{ audit_id: string; input: number; output: number; nano: string; charged: string; outcome: string }[]>`
      select audit_id, outcome, (usage->>'input_tokens')::int as input, (usage->>'output_tokens')::int as output, (cost_usd * 1e9)::bigint as nano,
             (budgets->0->>'amount')::bigint as charged
      from audit_entries where kind = 'exchange' and tenant_id = ${tenant.tenant_id}`
    const byId = new Map(rows.map((row) => [row.audit_id, row]))
    let least = Number.POSITIVE_INFINITY
    for (const [auditId, tokens] of relayed) {
      const row = byId.get(auditId)
      assert.ok(row, 'every stream has its row')
      assert.equal(row.outcome, 'cancelled')
      assert.ok(row.input >= input && row.output >= tokens, `charged ${row.input} + ${row.output} for ${input} + ${tokens}`)
      assert.equal(Number(row.charged), Number(row.nano))
      assert.equal(Number(row.nano), row.input * 1_000_000 + row.output * 2_000_000)
      least = Math.min(least, row.output / tokens)
    }
    const [budget] = await sql<{ spent: string; reserved: string }[]>`select spent, reserved from budget_windows where budget_id = ${id}`
    const sum = rows.reduce((total, { nano }) => total + Number(nano), 0)
    say(`${relayed.size} streams hung up on, ${rows.length} rows; each charged at least what was relayed (the closest at ${(100 * least).toFixed(0)} % of it)`)
    say(`budget: spent ${budget?.spent}, sum of the rows ${sum}, still reserved ${budget?.reserved} nano-dollars`)
    assert.deepEqual([Number(budget?.spent), Number(budget?.reserved)], [sum, 0])
    assert.equal(rows.length, relayed.size)
  } finally {
    await earthflow.kill('SIGTERM')
    provider.close()
    installation.remove()
    await sql.end()
    await database.drop()
  }
}

/** Reads so many events and hangs up. `tokens` is a quarter of the bytes of text that arrived. */
async function hangUpAfter(events: number, port: number, request: string): Promise<{ auditId: string; tokens: number }> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.write(request)
  let got = ''
  socket.on('data', (chunk) => {
    got += chunk.toString('latin1')
    if (got.split(WORDS).length > events) socket.destroy()
  })
  await once(socket, 'close')
  return { auditId: /x-earthflow-audit-id: (\S+)/i.exec(got)?.[1] ?? '', tokens: Math.floor(((got.split(WORDS).length - 1) * WORDS.length) / 4) }
}
