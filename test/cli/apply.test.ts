import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { createApi } from '../../src/cli/api.ts'
import { apply } from '../../src/cli/apply.ts'
import { exportPolicy } from '../../src/cli/export.ts'
import { withoutServer } from '../db/engines.ts'
import { ADMIN_KEY, type Flow, startEarthflow } from '../harness/earthflow.ts'
import { freePort } from '../services/server-process.ts'

const run = promisify(execFile)

test('policy files', { skip: withoutServer }, async (t) => {
  let flow: Flow
  let ca: string
  before(async () => {
    flow = await startEarthflow()
    ca = readFileSync(join(flow.dataDir, 'certs', 'ca.pem'), 'utf8')
  })
  after(() => flow.close())

  const secrets: Record<string, string> = { PROVIDER_KEY: 'sk-marked-first' }
  interface Ended {
    code: number
    out: string
    error: string
  }
  const terminalFor = (file: string) => {
    const ended: Ended = { code: 0, out: '', error: '' }
    const terminal = {
      read: async () => file,
      out: (text: string) => void (ended.out += text),
      error: (text: string) => void (ended.error += text),
    }
    return { ended, terminal }
  }
  const parts = (key = ADMIN_KEY, url = `https://localhost:${flow.port}`) => ({ api: createApi({ url, key, ca }), secret: (name: string) => secrets[name] })
  const applied = async (file: string, args: string[] = [], key?: string, url?: string): Promise<Ended> => {
    const { ended, terminal } = terminalFor(file)
    ended.code = await apply(['-f', 'policy.yaml', ...args], terminal, parts(key, url))
    return ended
  }
  const versions = async (id: string): Promise<number> => ((await flow.admin('GET', `/v1/rules/versions?tenant_id=${id}`)).json as { total: number }).total
  const changes = async (id: string): Promise<number> => ((await flow.admin('GET', `/v1/audit?kind=change&tenant_id=${id}`)).json as { total: number }).total

  const fileFor = (id: string): string => `tenant: ${id}
settings:
  max_requests_per_minute: 600
  uninspectable: block
rules:
  - name: No project names
    action: BLOCK
    condition: { operator: detects, value: projects }
  - name: Careful
    action: WARN
    condition: { operator: contains, value: careful }
dictionaries:
  projects:
    terms: [falcon, osprey]
upstreams:
  - name: own
    dialects: [openai-chat]
    base_url: http://127.0.0.1:9000/v1/
    credential_env: PROVIDER_KEY
    prices: [{ model: "*", output: 2, input: 1, cached_input: 0.5 }]
`

  await t.test('a file is made so, and applying it again changes nothing and makes no policy version', async () => {
    const { tenant_id: id } = await flow.newTenant()
    const file = fileFor(id)
    const first = await applied(file)
    assert.deepEqual([first.code, first.error], [0, ''])
    for (const line of [
      '+ rule "No project names"',
      '+ rule "Careful"',
      '+ dictionary projects',
      '+ upstream own',
      '~ setting max_requests_per_minute: 1000000 → 600',
    ])
      assert.ok(first.out.includes(line), `${line} in ${first.out}`)
    const before = [await versions(id), await changes(id)]
    const second = await applied(file)
    assert.deepEqual([second.code, second.out, second.error], [0, 'nothing to change\n', ''])
    assert.deepEqual([await versions(id), await changes(id)], before)
    const tenant = (await flow.admin('GET', `/v1/tenants/${id}`)).json as Record<string, unknown>
    assert.deepEqual([tenant.max_requests_per_minute, tenant.uninspectable], [600, 'block'])
    const upstream = (await flow.admin('GET', `/v1/upstreams/own?tenant_id=${id}`)).json as Record<string, unknown>
    assert.deepEqual([upstream.credential_set, upstream.base_url], [true, 'http://127.0.0.1:9000/v1'])
  })

  await t.test('limits are settings like the others: a file names some, the API shows all, and the same file changes nothing', async () => {
    const { tenant_id: id } = await flow.newTenant()
    const file = `tenant: ${id}
settings:
  max_requests_per_day: 5000
  max_concurrency: null
  limits:
    key: { max_requests_per_minute: 60 }
    user: {}
    models: [{ model: "gpt-*", max_tokens_per_day: 1000 }]
`
    const first = await applied(file)
    assert.deepEqual([first.code, first.error], [0, ''])
    assert.match(first.out, /~ setting max_requests_per_day: null → 5000\n {2}~ setting limits: null → \{"key"/)
    const { limits } = (await flow.admin('GET', `/v1/tenants/${id}`)).json as { limits: Record<string, Record<string, unknown> | null> }
    assert.deepEqual([limits.key?.max_requests_per_minute, limits.key?.max_concurrency, limits.user], [60, null, null])
    assert.equal((await applied(file)).out, 'nothing to change\n')
    assert.match((await applied(file.replace('{ max_requests_per_minute: 60 }', '{}'))).out, /~ setting limits/)
    const { error } = await applied(file.replace('max_tokens_per_day: 1000', 'max_tokens_per_day: 0'))
    assert.match(error, /^policy\.yaml:8: settings\.limits\.models\.0\.max_tokens_per_day: /)
    const none = file.replace(/ {2}limits:[\s\S]*/, '  limits: null\n')
    assert.match((await applied(none)).out, /~ setting limits: .* → null/)
    assert.equal((await applied(none)).out, 'nothing to change\n')
  })

  await t.test('a dry run says the same and changes nothing; its exit code tells when asked to', async () => {
    const { tenant_id: id } = await flow.newTenant()
    const before = [await versions(id), await changes(id)]
    const dry = await applied(fileFor(id), ['--dry-run'])
    assert.equal(dry.code, 0)
    assert.match(dry.out, /\+ rule "Careful"[\s\S]*dry run/)
    assert.equal((await applied(fileFor(id), ['--dry-run', '--exit-code'])).code, 2)
    assert.deepEqual([await versions(id), await changes(id)], before)
    await applied(fileFor(id))
    assert.equal((await applied(fileFor(id), ['--dry-run', '--exit-code'])).code, 0)
  })

  await t.test('what is changed in the file is changed, and only that; merge keeps what the file does not name, replace removes it', async () => {
    const { tenant_id: id } = await flow.newTenant()
    await applied(fileFor(id))
    const fewer = fileFor(id)
      .replace(/ {2}- name: Careful[\s\S]*?careful }\n/, '')
      .replace('action: BLOCK', 'action: WARN')
      .replace('falcon, osprey', 'falcon')
    const merged = await applied(fewer)
    assert.match(merged.out, /~ rule "No project names": \/action "BLOCK" → "WARN"\n/)
    assert.match(merged.out, /~ dictionary projects: 0 terms more, 1 fewer\n/)
    assert.doesNotMatch(merged.out, /Careful|upstream|setting/)
    const replaced = await applied(fewer.replace('settings:', 'mode: replace\nsettings:'))
    assert.equal(replaced.out.includes('- rule "Careful"'), true)
    const rules = (await flow.admin('GET', `/v1/rules?tenant_id=${id}`)).json as { rules: { name: string }[] }
    assert.deepEqual(
      rules.rules.map(({ name }) => name),
      ['No project names'],
    )
  })

  await t.test('a mistake anywhere changes nothing at all, and is named with its line', async () => {
    const { tenant_id: one } = await flow.newTenant()
    const { tenant_id: two } = await flow.newTenant()
    const before = [await versions(one), await changes(one)]
    for (const [broken, where] of [
      [fileFor(two).replace('contains', 'sounds_like'), /^policy\.yaml:32: rules\.1\.condition\.operator: /],
      [fileFor(two).replace('600', 'many'), /^policy\.yaml:24: settings\.max_requests_per_minute: /],
      [fileFor(two).replace('value: projects', 'value: birds'), /^policy\.yaml:29: rules\.0\.condition\.value: /],
      [fileFor(two).replace('PROVIDER_KEY', 'NO_SUCH'), /^policy\.yaml:40: upstreams\.0\.credential_env: NO_SUCH is not set/],
      [fileFor(two).replace('credential_env: PROVIDER_KEY', 'credential: sk-marked-written'), /^policy\.yaml:40: upstreams\.0\.credential: /],
      [fileFor(two).replace(two, 't_none'), /^policy\.yaml:\d+: .*no such tenant/i],
    ] as const) {
      const { code, out, error } = await applied(`${fileFor(one)}---\n${broken}`)
      assert.deepEqual([code, out], [1, ''], error)
      assert.match(error, where)
      assert.doesNotMatch(error, /sk-marked/)
    }
    assert.deepEqual([await versions(one), await changes(one)], before)
  })

  await t.test('a tenant is known by its name too, and one of several of a name is not guessed', async () => {
    const { tenant_id: id } = await flow.newTenant({ name: 'Known by name' })
    const named = (name: string): Promise<Ended> => applied(`tenant: ${name}\nsettings: { max_requests_per_minute: 5 }\n`)
    assert.match((await named('Known by name')).out, new RegExp(`^Known by name \\(${id}\\)`))
    assert.match((await named('Nobody')).error, /^policy\.yaml:1: tenant: There is none/)
    await flow.newTenant({ name: 'Known by name' })
    assert.match((await named('Known by name')).error, /several/)
    const { api_key } = await flow.newTenant()
    assert.match((await applied('tenant: Known by name\nrules: []\n', [], api_key)).error, /^policy\.yaml:1: tenant: This needs the scope tenants:read/)
  })

  await t.test('two documents about one tenant are refused: the second would be planned on what the first changes', async () => {
    const { tenant_id: id } = await flow.newTenant({ name: 'Said twice' })
    const before = [await versions(id), await changes(id)]
    const { code, error } = await applied(`${fileFor(id)}---\n${fileFor('Said twice')}`)
    assert.equal(code, 1)
    assert.match(error, /^policy\.yaml:22: tenant: An earlier document/)
    assert.deepEqual([await versions(id), await changes(id)], before)
  })

  await t.test("a tenant's key applies its own rules without naming the tenant, and no settings", async () => {
    const { tenant_id: id, api_key } = await flow.newTenant()
    const file = 'rules:\n  - { name: ours, action: WARN, condition: { operator: contains, value: x } }\n'
    assert.equal((await applied(file, [], api_key)).code, 0)
    assert.equal((await applied(file, [], api_key)).out, 'nothing to change\n')
    const { error } = await applied(`tenant: ${id}\nsettings: { max_requests_per_minute: 5 }\n`, [], api_key)
    assert.match(error, /scope tenants:write/)
  })

  await t.test('credentials are sent again only when told to, and are never printed', async () => {
    const { tenant_id: id } = await flow.newTenant()
    await applied(fileFor(id))
    const again = await applied(fileFor(id), ['--credentials'])
    assert.match(again.out, /~ upstream own: its credential\n/)
    assert.doesNotMatch(again.out, /sk-marked/)
  })

  await t.test('what was exported, applied, changes nothing, also for another tenant of the same rules', async () => {
    const { tenant_id: id } = await flow.newTenant({ rules_preset: 'default' })
    const { ended, terminal } = terminalFor('')
    ended.code = await exportPolicy(['--tenant', id], terminal, parts())
    assert.deepEqual([ended.code, ended.error], [0, ''])
    assert.equal((await applied(ended.out)).out, 'nothing to change\n')
    const { tenant_id: other } = await flow.newTenant({ rules_preset: null })
    assert.equal((await applied(ended.out.replace(id, other))).code, 0)
    assert.equal((await applied(ended.out.replace(id, other))).out, 'nothing to change\n')
  })

  await t.test('an Earthflow that is not there, or cannot be trusted, is said to be so', async () => {
    const file = 'tenant: t_1\nsettings: { name: x }\n'
    assert.match((await applied(file, [], ADMIN_KEY, `https://localhost:${await freePort()}`)).error, /nothing listens there/)
    const { ended, terminal } = terminalFor(file)
    ended.code = await apply(['-f', 'x'], terminal, {
      api: createApi({ url: `https://localhost:${flow.port}`, key: ADMIN_KEY, ca: null }),
      secret: () => undefined,
    })
    assert.match(ended.error, /not trusted; set EARTHFLOW_CA_PATH/)
    assert.match((await applied(file, [], 'wrong-key')).error, /^A valid API key/)
    assert.match((await applied(file.replace('t_1', 'By name'), [], 'wrong-key')).error, /^A valid API key/)
    assert.match((await applied(file, [], ADMIN_KEY, flow.provider.origin)).error, /is no Earthflow/)
  })

  await t.test('the verb itself: arguments, environment, exit codes', async () => {
    const { tenant_id: id } = await flow.newTenant()
    const path = join(flow.dataDir, 'policy.yaml')
    writeFileSync(path, fileFor(id))
    const environment = {
      PATH: process.env.PATH ?? '',
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? '',
      EARTHFLOW_URL: `https://localhost:${flow.port}`,
      EARTHFLOW_CA_PATH: join(flow.dataDir, 'certs', 'ca.pem'),
      PROVIDER_KEY: 'sk-x',
    }
    const verb = async (args: string[], more: Record<string, string> = { EARTHFLOW_ADMIN_API_KEY: ADMIN_KEY }): Promise<Ended> => {
      const options = { env: { ...environment, ...more }, cwd: flow.dataDir }
      return run(process.execPath, [join(import.meta.dirname, '..', '..', 'src', 'main.ts'), ...args], options).then(
        ({ stdout, stderr }) => ({ code: 0, out: stdout, error: stderr }),
        (error: { code: number; stdout: string; stderr: string }) => ({ code: error.code, out: error.stdout, error: error.stderr }),
      )
    }
    const [done, usage, keyless] = await Promise.all([verb(['apply', '-f', path]), verb(['apply', '--nonsense']), verb(['apply', '-f', path], {})])
    assert.deepEqual([done.code, done.error], [0, ''])
    assert.match(done.out, /done\n$/)
    assert.equal(usage.code, 64)
    assert.match(usage.error, /--dry-run/)
    assert.equal(keyless.code, 78)
    assert.match(keyless.error, /EARTHFLOW_ADMIN_API_KEY is missing/)
    const [again, missing] = await Promise.all([verb(['apply', '--file', path, '--dry-run', '--exit-code']), verb(['apply', '-f', `${path}.none`])])
    assert.deepEqual([again.code, again.out], [0, 'nothing to change\n'])
    assert.deepEqual([missing.code, /cannot be read \(ENOENT\)/.test(missing.error)], [1, true])
    writeFileSync(path, Buffer.from(fileFor(id).replace('careful }', 'müde }'), 'latin1'))
    const [latin, unsendable, nameless] = await Promise.all([
      verb(['apply', '-f', path]),
      verb(['apply', '-f', path], { EARTHFLOW_API_KEY: 'ключ' }),
      verb(['export', '--tenant', 'クリニック']),
    ])
    assert.deepEqual([latin.code, /cannot be read \(not UTF-8\)/.test(latin.error)], [1, true], latin.error)
    assert.deepEqual([unsendable.code, nameless.code], [78, 64], unsendable.error + nameless.error)
  })
})
