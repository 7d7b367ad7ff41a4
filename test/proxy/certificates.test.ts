import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect } from 'node:tls'
import { Agent, fetch } from 'undici'
import { type DevelopmentCertificate, ensureDevelopmentCertificate } from '../../src/proxy/certificates.ts'

const DAY_MS = 86_400_000
let root: string
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'earthflow-certificates-'))
})
after(() => rm(root, { recursive: true }))

const freshDir = async (): Promise<string> => join(await mkdtemp(join(root, 'case-')), 'tls')
const leafOf = ({ cert }: DevelopmentCertificate): X509Certificate => new X509Certificate(cert)

test('a client that trusts the authority, and only such a client, gets through to every name and address of the machine', async () => {
  const { key, cert, caPath } = await ensureDevelopmentCertificate(await freshDir())
  const server = createHttpsServer({ key, cert }, (_request, response) => response.end('hello')).listen(0, '::')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const trusting = new Agent({ connect: { ca: await readFile(caPath, 'utf8') } })
  const doubting = new Agent()
  try {
    for (const host of ['localhost', '127.0.0.1', '[::1]']) {
      const response = await fetch(`https://${host}:${port}/`, { dispatcher: trusting })
      assert.equal(await response.text(), 'hello')
    }
    await assert.rejects(fetch(`https://localhost:${port}/`, { dispatcher: doubting }), ({ cause }: Error & { cause: { code: string } }) =>
      /^(SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE)$/.test(cause.code),
    )
    const socket = connect({ port, host: '127.0.0.1', servername: 'other.example', ca: await readFile(caPath, 'utf8') })
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ERR_TLS_CERT_ALTNAME_INVALID')
  } finally {
    await Promise.all([trusting.destroy(), doubting.destroy()])
    server.close()
  }
})

test('the authority may sign servers and nothing below them; the certificate lasts no longer than clients accept', async () => {
  const dir = await freshDir()
  const now = Date.parse('2026-11-20T12:00:00Z')
  const leaf = leafOf(await ensureDevelopmentCertificate(dir, { now }))
  const authority = new X509Certificate(await readFile(join(dir, 'ca.pem')))
  assert.equal(authority.ca, true)
  assert.equal(leaf.ca, false)
  assert.equal(leaf.verify(authority.publicKey), true)
  assert.equal(leaf.checkIssued(authority), true)
  assert.ok(leaf.validToDate.getTime() - leaf.validFromDate.getTime() <= 398 * DAY_MS)
  assert.ok(authority.validToDate.getTime() > now + 3_600 * DAY_MS)
  assert.match(leaf.serialNumber, /^[4-7][0-9A-F]{31}$/)
})

test('the next start finds the same certificate', async () => {
  const dir = await freshDir()
  const first = await ensureDevelopmentCertificate(dir)
  assert.deepEqual(await ensureDevelopmentCertificate(dir), first)
})

test('a certificate about to expire is made anew under the same authority', async () => {
  const dir = await freshDir()
  const now = Date.now()
  const first = await ensureDevelopmentCertificate(dir, { now })
  const authority = await readFile(first.caPath, 'utf8')
  const same = await ensureDevelopmentCertificate(dir, { now: now + 366 * DAY_MS })
  assert.equal(same.cert, first.cert)
  const renewed = await ensureDevelopmentCertificate(dir, { now: now + 368 * DAY_MS })
  assert.notEqual(renewed.cert, first.cert)
  assert.equal(await readFile(renewed.caPath, 'utf8'), authority)
  assert.ok(leafOf(renewed).validToDate.getTime() > now + 700 * DAY_MS)
})

test('an authority about to expire is made anew with everything under it', async () => {
  const dir = await freshDir()
  const now = Date.now()
  const first = await ensureDevelopmentCertificate(dir, { now })
  const later = await ensureDevelopmentCertificate(dir, { now: now + 3_640 * DAY_MS })
  assert.notEqual(later.cert.split('-----END CERTIFICATE-----')[1], first.cert.split('-----END CERTIFICATE-----')[1])
  assert.equal(leafOf(later).verify(new X509Certificate(await readFile(later.caPath)).publicKey), true)
})

test('a new host makes a new certificate that covers it; the authority stays', async () => {
  const dir = await freshDir()
  const first = await ensureDevelopmentCertificate(dir)
  const authority = await readFile(first.caPath, 'utf8')
  const second = await ensureDevelopmentCertificate(dir, { hosts: ['Proxy.Corp.Example', '10.1.2.3'] })
  assert.equal(leafOf(first).checkHost('proxy.corp.example'), undefined)
  assert.equal(leafOf(second).checkHost('proxy.corp.example'), 'proxy.corp.example')
  assert.equal(leafOf(second).checkIP('10.1.2.3'), '10.1.2.3')
  assert.equal(leafOf(second).checkHost('localhost'), 'localhost')
  assert.equal(await readFile(second.caPath, 'utf8'), authority)
})

test('only the owner can read the keys, and nothing is left lying about', async () => {
  const dir = await freshDir()
  await ensureDevelopmentCertificate(dir)
  assert.equal((await stat(dir)).mode & 0o777, 0o700)
  assert.deepEqual((await readdir(dir)).sort(), ['authority.pem', 'ca.pem', 'server.pem'])
  for (const name of await readdir(dir)) {
    const holdsKey = (await readFile(join(dir, name), 'utf8')).includes('PRIVATE KEY')
    assert.equal(holdsKey, name !== 'ca.pem')
    if (holdsKey) assert.equal((await stat(join(dir, name))).mode & 0o777, 0o600, name)
  }
})

test('damaged files are made anew', async () => {
  const dir = await freshDir()
  const first = await ensureDevelopmentCertificate(dir)
  const whole = await readFile(join(dir, 'server.pem'), 'utf8')
  for (const damaged of ['', 'rubbish', whole.slice(0, 400), whole.replace(/\n[A-Za-z0-9+/]{8}/, '\nAAAAAAAA')]) {
    await writeFile(join(dir, 'server.pem'), damaged)
    const again = await ensureDevelopmentCertificate(dir)
    assert.notEqual(again.key, first.key)
    assert.equal(leafOf(again).verify(new X509Certificate(await readFile(again.caPath)).publicKey), true)
  }
})

test('what is neither a name nor an address is refused with a sentence', async () => {
  const dir = await freshDir()
  for (const host of ['', '*.example', 'a b', 'a,DNS:evil.example', '-']) {
    await assert.rejects(ensureDevelopmentCertificate(dir, { hosts: [host] }), /neither a name nor an address/)
  }
})
