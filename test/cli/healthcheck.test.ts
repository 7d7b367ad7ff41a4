import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { healthcheck } from '../../src/cli/healthcheck.ts'
import { readListening } from '../../src/client-config.ts'
import { ensureDevelopmentCertificate } from '../../src/proxy/certificates.ts'
import { freePort } from '../services/server-process.ts'
import { type Ended, keptTerminal } from './running.ts'

const dir = mkdtempSync(join(tmpdir(), 'earthflow-health-'))
let plain: Server
let tls: ReturnType<typeof createTlsServer>
let ca = ''
let answer = { status: 200, body: JSON.stringify({ status: 'OK', version: '1.2.3', uptime_seconds: 4 }) }
const portOf = (server: Server): string => String((server.address() as AddressInfo).port)

before(async () => {
  const certificate = await ensureDevelopmentCertificate(dir)
  ca = readFileSync(certificate.caPath, 'utf8')
  const respond: Parameters<typeof createServer>[1] = (request, response) => {
    const isReady = request.url === '/health/ready'
    response.writeHead(isReady ? 503 : answer.status)
    response.end(isReady ? JSON.stringify({ status: 'failed', checks: { accepting: 'failed', database: 'ok' } }) : answer.body)
  }
  plain = createServer(respond).listen(0, '127.0.0.1')
  tls = createTlsServer(certificate, respond).listen(0, '127.0.0.1')
  await Promise.all([plain, tls].map((server) => once(server, 'listening')))
})
after(() => {
  plain.close()
  tls.close()
  rmSync(dir, { recursive: true, force: true })
})

async function run(args: readonly string[], environment: Record<string, string> = {}, trusted: string | null = null): Promise<Ended> {
  const { ended, terminal } = keptTerminal()
  ended.code = await healthcheck(args, terminal, { settings: async () => ({ ...readListening({ environment, dotenv: null }), ca: trusted }) })
  return ended
}

test('it is asked where the settings say it listens, plainly or over TLS, and on this machine whatever its certificate is', async () => {
  const terminated = await run([], { EARTHFLOW_TLS: 'terminated', EARTHFLOW_PORT: portOf(plain), EARTHFLOW_HOST: '0.0.0.0' })
  assert.deepEqual([terminated.code, terminated.error], [0, ''])
  assert.match(terminated.out, /^ok: http:\/\/127\.0\.0\.1:\d+ says OK, version 1\.2\.3\n$/)
  assert.equal((await run([], { EARTHFLOW_PORT: portOf(tls) })).code, 0)
  const dashboard = { EARTHFLOW_SERVICES: 'dashboard', EARTHFLOW_TLS: 'terminated', EARTHFLOW_PORT: '1', EARTHFLOW_DASHBOARD_PORT: portOf(plain) }
  assert.equal((await run([], dashboard)).code, 0)
  assert.equal((await run(['--plain', '--port', portOf(plain)])).code, 0)
  assert.equal((await run(['--tls', '--insecure', '--host', 'localhost', '--port', portOf(tls)])).code, 0)
})

test('readiness is told apart from life', async () => {
  const { code, error } = await run(['--plain', '--port', portOf(plain), '--ready'])
  assert.equal(code, 1)
  assert.match(error, /says failed, accepting failed\n$/)
})

test('what does not answer, or is no Earthflow, is not well', async () => {
  const nobody = String(await freePort())
  assert.match((await run(['--plain', '--port', nobody])).error, /^not well: .*nothing listens there/)
  assert.match((await run(['--tls', '--port', portOf(plain)])).error, /^not well: /)
  answer = { status: 200, body: '<html>' }
  assert.match((await run(['--plain', '--port', portOf(plain)])).error, /answered 200, and is no Earthflow/)
  answer = { status: 200, body: JSON.stringify({ status: 'OK', version: '1.2.3' }) }
})

test('as JSON it says the same', async () => {
  const well = JSON.parse((await run(['--plain', '--port', portOf(plain), '--json'])).out)
  assert.deepEqual([well.ok, well.status, well.answer.version], [true, 200, '1.2.3'])
  const ill = await run(['--plain', '--port', '1', '--json'])
  assert.deepEqual([ill.code, JSON.parse(ill.out).ok, JSON.parse(ill.out).status], [1, false, null])
})

test('another machine must show a certificate that is trusted, unless told otherwise', async () => {
  // A name of this machine that is no loopback address as it is written.
  const elsewhere = ['--tls', '--host', '[::ffff:127.0.0.1]', '--port', portOf(tls)]
  assert.match((await run(elsewhere)).error, /certificate/)
  assert.equal((await run([...elsewhere, '--insecure'])).code, 0)
  assert.match((await run(elsewhere, {}, ca)).error, /certificate is for another name/)
})

test('arguments that make no sense print how it is used', async () => {
  for (const args of [['more'], ['--tls', '--plain'], ['--port', '70000'], ['--host', 'a/b'], ['--timeout', '0'], ['--nonsense']])
    assert.equal((await run(args)).code, 64, args.join(' '))
})
