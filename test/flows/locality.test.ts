import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ConfigError } from '../../src/config.ts'
import { chat, type Flow, startEarthflow } from '../harness/earthflow.ts'

/** Of AS112 (RFC 7534): public, and nobody's provider. Nothing here may ever connect to it. */
const FAR = 'https://192.175.48.1/v1'

let flow: Flow
before(async () => {
  flow = await startEarthflow()
  await flow.addUpstream({ name: 'far', dialects: ['openai-chat'], base_url: FAR, models: ['far', 'both'], priority: 9 })
  await flow.addUpstream({ name: 'distant', dialects: ['openai-chat'], base_url: FAR })
  await flow.addUpstream({ name: 'near', dialects: ['openai-chat'], base_url: `${flow.provider.origin}/v1`, models: ['both'], priority: 5, region: 'eu' })
})
after(() => flow.close())

/** Another process of the same installation, with a locality of its own. */
async function withLocality(locality: string, work: (other: Flow) => Promise<void>, environment: Record<string, string> = {}): Promise<void> {
  const other = await startEarthflow({ databaseUrl: flow.databaseUrl, environment: { EARTHFLOW_LOCALITY: locality, ...environment } })
  try {
    await work(other)
  } finally {
    await other.close()
  }
}

async function ask({ origin, recorded }: Flow, model: string, upstream = '') {
  const response = await fetch(`${origin}${upstream}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${flow.tenant.api_key}`, 'content-type': 'application/json' },
    body: chat('Hello', { model }),
  })
  const text = await response.text()
  await recorded(5_000)
  const [row] = await flow.rows(`&request_id=${response.headers.get('x-earthflow-request-id')}`)
  assert.ok(row)
  return { status: response.status, text, decision: response.headers.get('x-earthflow-decision'), row }
}

test('local-only: no upstream on the internet can be made, one that was there is never reached, and the row says why', async () => {
  await withLocality('local-only', async (other) => {
    const made = await other.admin('POST', '/v1/upstreams', { name: 'new', dialects: ['openai-chat'], base_url: FAR })
    assert.equal(made.status, 422)
    assert.match(made.text, /"field":"base_url"/)
    assert.match(made.text, /is on the internet, which EARTHFLOW_LOCALITY=local-only closes/)
    const refused = await ask(other, 'far', '/u/far')
    assert.deepEqual(
      [refused.status, refused.decision, refused.row.status, refused.row.outcome, refused.row.reason],
      [403, 'rejected', 'REJECTED', 'refused', 'locality'],
    )
    assert.match(refused.text, /EARTHFLOW_LOCALITY lets nothing on the internet be reached/)
    assert.doesNotMatch(refused.text, /192\.175/)
    const served = await ask(other, 'both')
    assert.deepEqual([served.status, served.row.status, served.row.upstream], [200, 'ALLOW', 'near'])
    assert.deepEqual(
      served.row.attempts?.map((attempt) => (attempt as { error: string | null }).error),
      ['OUT_OF_REACH', null],
    )
    const listed = await fetch(`${other.origin}/u/far/v1/models`, { headers: { authorization: `Bearer ${flow.tenant.api_key}` } })
    assert.equal(listed.status, 200, 'names an upstream serves by their exact name are known without asking')
    const unknown = await fetch(`${other.origin}/u/distant/v1/models`, { headers: { authorization: `Bearer ${flow.tenant.api_key}` } })
    assert.deepEqual([unknown.status, unknown.headers.get('x-earthflow-decision')], [403, 'rejected'])
    const checked = await other.admin('POST', '/v1/upstreams/far/check', {})
    assert.match(checked.text, /"ok":false.*EARTHFLOW_LOCALITY closes/)
  })
})

test('regions: only upstreams in one of them are made and called, whatever the tenant allows; a call that nobody would serve has another reason', async () => {
  await withLocality('eu,ch', async (other) => {
    for (const region of [undefined, 'us']) {
      const made = await other.admin('POST', '/v1/upstreams', { name: 'new', dialects: ['openai-chat'], base_url: `${flow.provider.origin}/v1`, region })
      assert.equal(made.status, 422)
      assert.match(made.text, /"field":"region"/)
    }
    const refused = await ask(other, 'far')
    assert.deepEqual(
      [refused.status, refused.decision, refused.row.status, refused.row.reason, refused.row.attempts],
      [403, 'rejected', 'REJECTED', 'locality', []],
    )
    assert.equal((await ask(other, 'both')).row.upstream, 'near')
    const nobody = await fetch(`${other.origin}/v1/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${flow.tenant.api_key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'nobody', max_tokens: 1, messages: [] }),
    })
    assert.equal(nobody.status, 403, 'an upstream of every model speaks this dialect, and lies in no region')
  })
})

test('a tenant’s regions refuse with the same reason', async () => {
  const tenant = await flow.newTenant({ allowed_regions: ['mars'] })
  const answer = await flow.post('/v1/chat/completions', chat('Hello', { model: 'both' }), { authorization: `Bearer ${tenant.api_key}` })
  assert.deepEqual([answer.status, answer.headers.get('x-earthflow-decision')], [403, 'rejected'])
  assert.match(answer.text, /regions that EARTHFLOW_LOCALITY or the tenant allows/)
})

test('checkpoints go to a private address or a directory, or Earthflow does not start', async () => {
  for (const [locality, sink] of [
    ['local-only', FAR],
    ['eu', FAR],
    ['eu', 'http://10.0.0.9/notes'], // private, but EGRESS_ALLOW does not open it
  ] as const) {
    const start = withLocality(locality, async () => assert.fail('it started'), { AUDIT_CHECKPOINT_SINK: sink })
    await assert.rejects(
      start,
      (error: unknown) => error instanceof ConfigError && /^AUDIT_CHECKPOINT_SINK must be a directory or have a private address/.test(error.problems[0] ?? ''),
    )
  }
  await withLocality('eu', async () => {}, { AUDIT_CHECKPOINT_SINK: `${flow.provider.origin}/notes` })
})

test('a provider that a setting names serves nothing where locality closes it, and the log says so at the start', async () => {
  await withLocality(
    'eu',
    async (other) => {
      assert.ok(other.logged.some((line) => /"level":"WARN".*"upstreams":\["gemini"\].*EARTHFLOW_LOCALITY closes/.test(line)))
      assert.ok(!other.logged.join('').includes('marked'))
    },
    { GEMINI_API_KEY: 'AIza-marked' },
  )
})

test('the settings of a running Earthflow are shown, and no secret of them', async () => {
  const { status, json, text } = await flow.admin('GET', '/v1/ops/config')
  assert.equal(status, 200)
  const settings = (json as { settings: { name: string; value: string | null }[] }).settings
  assert.equal(settings.find(({ name }) => name === 'DATABASE_URL')?.value, '***')
  for (const secret of flow.config.secrets) assert.ok(!text.includes(secret))
  assert.ok(flow.config.secrets.length >= 3)
  assert.equal((await flow.post('/v1/ops/config', '')).status, 405)
})
