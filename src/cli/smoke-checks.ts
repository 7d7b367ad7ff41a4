/** The checks of `earthflow smoke`, in their order. None changes what is configured, but the last, which is asked for. */
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { type Envelope, NotSo, type SmokeServer, saidIn } from './smoke-server.ts'

export interface Outcome {
  state: 'pass' | 'skip'
  /** What was seen, or why nothing was looked at. */
  why: string
}

export interface Check {
  name: string
  about: string
  /** Throws NotSo, or Unreachable, where it fails. */
  run(server: SmokeServer, seen: Seen): Promise<Outcome>
}

/** What earlier checks leave for later ones. */
export interface Seen {
  allowed: Envelope | null
  tenantId: string | null
}

const HELLO = 'Hello from the smoke test.'
const NUMBER = 'My number is 536-90-4399.'
const SECRET = 'Deploy with AKIAIOSFODNN7EXAMPLE.'
const ROW_MS_MAX = 15_000
const ROW_PAUSE_MS = 200
const RULE_MS_MAX = 15_000

const pass = (why: string): Outcome => ({ state: 'pass', why })
const skip = (why: string): Outcome => ({ state: 'skip', why })

export const checks: readonly Check[] = [
  {
    name: 'health',
    about: 'it answers',
    async run(server) {
      const { status, json } = await server.ask('GET', '/health', { as: null })
      if (status !== 200 || json?.status !== 'OK') throw new NotSo(saidIn(status, json))
      return pass(`version ${json.version}, up ${json.uptime_seconds} s`)
    },
  },
  {
    name: 'ready',
    about: 'it takes calls',
    async run(server) {
      const { status, json } = await server.ask('GET', '/health/ready', { as: null })
      const others = Object.entries((json?.checks ?? {}) as Record<string, unknown>).flatMap(([name, state]) => (state === 'ok' ? [] : [`${name} ${state}`]))
      const told = [String(json?.status), ...others].join(', ')
      if (status !== 200 || typeof json?.status !== 'string') throw new NotSo(told)
      return pass(told)
    },
  },
  {
    name: 'allowed',
    about: 'a call goes through and is answered',
    async run(server, seen) {
      const answer = await server.call(HELLO)
      if ((answer.status !== 'ALLOW' && answer.status !== 'WARN') || !answer.forwarded) throw new NotSo(`${answer.status}: ${answer.reason}`)
      if (answer.response === null) throw new NotSo('there is no answer of the provider')
      seen.allowed = answer
      return pass(answer.status)
    },
  },
  {
    name: 'redacted',
    about: 'a number is cut out before it leaves',
    run: (server) => decided(server, NUMBER, 'REDACT', { operator: 'detects', value: 'ssn' }),
  },
  {
    name: 'blocked',
    about: 'a secret does not leave',
    run: (server) => decided(server, SECRET, 'BLOCK', { operator: 'contains', value: 'AKIAIOSFODNN7EXAMPLE' }),
  },
  {
    name: 'streamed',
    about: 'an answer comes piece by piece, to its end',
    async run(server) {
      const { deltas, last } = await server.streamedCall(HELLO)
      if (last.status !== 'ALLOW' && last.status !== 'WARN') throw new NotSo(`${last.status}: ${last.reason}`)
      if (deltas === 0) throw new NotSo('the stream holds no text')
      return pass(`${deltas} pieces`)
    },
  },
  { name: 'row', about: 'the call is on record, by its hash alone', run: findRow },
  { name: 'webhook', about: 'a webhook takes a test event', run: testWebhook },
]

/** Adds a rule, sees it at work, and removes it. */
export const ruleCheck: Check = {
  name: 'rule',
  about: 'a new rule blocks at once',
  async run(server) {
    const word = `smoke-${randomBytes(8).toString('hex')}`
    const rule = { name: `Smoke test ${word}`, condition: { operator: 'contains', value: word, target: 'prompt' }, action: 'BLOCK' }
    const made = await server.ask('POST', '/v1/rules', { body: rule })
    if (made.status === 403) return skip('the key may not write rules')
    if (made.status !== 201) throw new NotSo(saidIn(made.status, made.json))
    try {
      const stop = Date.now() + RULE_MS_MAX
      for (;;) {
        const answer = await server.call(`Say ${word}.`)
        if (answer.status === 'BLOCK') return pass('blocked, and the rule is removed again')
        // Another process may have answered, which hears of the rule within a second.
        if (Date.now() > stop) throw new NotSo(`${answer.status} although a rule blocks it`)
        await delay(ROW_PAUSE_MS)
      }
    } finally {
      await server.ask('DELETE', `/v1/rules/${encodeURIComponent(String(made.json?.id))}`)
    }
  },
}

/** By the tenant's own rules where they decide so, and then by a real call; else by a rule that is only tried, for a call would leave. */
async function decided(server: SmokeServer, text: string, status: 'REDACT' | 'BLOCK', condition: Record<string, unknown>): Promise<Outcome> {
  const tried = await server.ask('POST', '/v1/rules/test', { body: { text } })
  if (tried.status === 403) return skip('the key may not try rules (rules:read)')
  if (tried.status !== 200) throw new NotSo(saidIn(tried.status, tried.json))
  if (tried.json?.status === status) {
    const answer = await server.call(text)
    if (answer.status !== status) throw new NotSo(`${answer.status} although the rules in force say ${status}`)
    if (status === 'REDACT' && answer.redactions.length === 0) throw new NotSo('nothing was cut out')
    if (status === 'BLOCK' && answer.forwarded) throw new NotSo('the call left')
    return pass(`${status} by the rules in force`)
  }
  const rule = { name: 'Smoke test', condition: { ...condition, target: 'prompt' }, action: status }
  const draft = await server.ask('POST', '/v1/rules/test', { body: { text, rule } })
  if (draft.status !== 200) throw new NotSo(saidIn(draft.status, draft.json))
  if (draft.json?.status !== status) throw new NotSo(`${draft.json?.status} by a rule that says ${status}`)
  return pass(`${status} by a rule that was only tried; the tenant's own say ${tried.json?.status}`)
}

async function findRow(server: SmokeServer, seen: Seen): Promise<Outcome> {
  if (!seen.allowed) return skip('no call was allowed')
  const stop = Date.now() + ROW_MS_MAX
  for (;;) {
    const { status, json, text } = await server.ask('GET', `/v1/audit/${encodeURIComponent(seen.allowed.audit_id)}`)
    if (status === 403) return skip('the key may not read the audit log')
    if (status !== 200 && status !== 404) throw new NotSo(saidIn(status, json))
    if (status === 200) {
      seen.tenantId = typeof json?.tenant_id === 'string' && /^t_[0-9a-z]+$/.test(json.tenant_id) ? json.tenant_id : null
      if (json?.request_id !== seen.allowed.request_id) throw new NotSo('the row is of another call')
      if (text.includes(HELLO)) throw new NotSo('the row holds what was said')
      const hash = json?.prompt_hash
      const plain = `sha256:${createHash('sha256').update(HELLO).digest('hex')}`
      if (typeof hash === 'string' && hash.startsWith('sha256:') && hash !== plain) throw new NotSo('the hash is of something else')
      return pass(hash === plain ? 'its hash is the SHA-256 of what was said' : `hash: ${typeof hash === 'string' ? hash.replace(/:.*/, '') : 'none'}`)
    }
    if (Date.now() > stop) throw new NotSo(`there is no row after ${ROW_MS_MAX / 1_000} s`)
    await delay(ROW_PAUSE_MS)
  }
}

const webhooks = z.array(z.object({ id: z.string().regex(/^[\w-]+$/), active: z.boolean() }))

async function testWebhook(server: SmokeServer, { tenantId }: Seen): Promise<Outcome> {
  const who = server.adminKey === null ? {} : { as: server.adminKey, ...(tenantId === null ? {} : { tenant: tenantId }) }
  const listed = await server.ask('GET', '/v1/webhooks?limit=1000', who)
  if (listed.status === 403) return skip('the key may not read webhooks; --admin-key-file may')
  if (listed.status !== 200) throw new NotSo(saidIn(listed.status, listed.json))
  const all = webhooks.safeParse(listed.json?.webhooks)
  if (!all.success) throw new NotSo('there is no list of webhooks in the answer')
  const one = all.data.find(({ active }) => active)
  if (!one) return skip('there is no active webhook')
  const sent = await server.ask('POST', `/v1/webhooks/${one.id}/test`, { ...who, body: {}, msMax: 60_000 })
  if (sent.status === 403) return skip('the key may not test webhooks')
  if (sent.status !== 200) throw new NotSo(saidIn(sent.status, sent.json))
  if (sent.json?.state !== 'delivered') throw new NotSo(`${one.id}: ${sent.json?.state}; GET /v1/webhooks/${one.id}/deliveries tells more`)
  return pass(`${one.id} took it`)
}
