import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { type Certificates, type CertificateWatch, createCertificateWatch, isAuthorities } from '../../src/proxy/certificate-watch.ts'
import { type Authority, makeAuthority, type Pair } from './client-certificates.ts'

let dir: string
let authority: Authority
let other: Authority
let first: Pair
let second: Pair
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'earthflow-watch-'))
  authority = await makeAuthority()
  other = await makeAuthority()
  first = await authority.issue({ usage: 'server' })
  second = await authority.issue({ usage: 'server', to: 60 })
})
after(() => rm(dir, { recursive: true }))

let watch: CertificateWatch
let taken: Certificates[]
let reports: (string | null)[]
let now: number
let refuses = false
const path = (name: string): string => join(dir, name)
const write = async (files: Partial<Record<'key' | 'cert' | 'ca', string>>): Promise<void> => {
  for (const [name, text] of Object.entries(files)) await writeFile(path(name), text)
}
const looks = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await watch.look()
}
const begin = (paths = { key: path('key'), cert: path('cert'), ca: path('ca') as string | null }): void => {
  watch = createCertificateWatch({
    paths,
    served: { ...first, ca: paths.ca === null ? null : authority.cert },
    take(certificates) {
      if (refuses) throw new Error('OpenSSL says no.')
      taken.push(certificates)
    },
    report: (problem) => reports.push(problem?.message ?? null),
    now: () => now,
  })
}
beforeEach(async () => {
  taken = []
  reports = []
  now = Date.now()
  await write({ ...first, ca: authority.cert })
  begin()
})
afterEach(() => watch.close())

test('what does not change is not taken, and nobody is told', async () => {
  await looks(3)
  assert.deepEqual([taken, reports], [[], []])
})

test('a new pair is taken once it has been the same for two looks, and tells when it expires', async () => {
  const before = watch.expiresAt()
  await write(second)
  await looks(1)
  assert.deepEqual(taken, [])
  await looks(3)
  assert.deepEqual(taken, [{ ...second, ca: authority.cert }])
  assert.deepEqual(reports, [null])
  assert.equal(Math.round((watch.expiresAt() - before) / 86_400_000), 30)
})

test('between the key and the certificate nothing is taken, however long it lasts; it is told once', async () => {
  await write({ key: second.key })
  await looks(4)
  assert.deepEqual([taken, reports], [[], ['The key and the certificate do not fit together.']])
  await write({ cert: second.cert })
  await looks(2)
  assert.deepEqual(taken, [{ ...second, ca: authority.cert }])
  assert.deepEqual(reports, ['The key and the certificate do not fit together.', null])
})

test('a file that is written piece by piece is taken when it is whole', async () => {
  const chain = second.cert + authority.cert
  await write({ key: second.key })
  for (let at = 0; at < chain.length; at += 97) {
    await write({ cert: chain.slice(0, at) })
    await looks(1)
  }
  await write({ cert: chain })
  await looks(2)
  assert.deepEqual(taken, [{ key: second.key, cert: chain, ca: authority.cert }])
})

test('what cannot be served is not, and each state of it is told once: not there, no PEM, cut off, expired, too early, refused by OpenSSL', async () => {
  const states: [Partial<Record<'key' | 'cert' | 'ca', string>>, RegExp][] = [
    [{ cert: 'nothing' }, /no certificate/],
    [{ cert: '' }, /no certificate/],
    [{ cert: `${first.cert}${authority.cert.slice(0, 100)}` }, /not whole/],
    [await authority.issue({ usage: 'server', from: -9, to: -1 }), /has expired/],
    [await authority.issue({ usage: 'server', from: 1, to: 9 }), /not valid yet/],
    [{ ca: '' }, /client authorities/],
    [{ ca: `${authority.cert}-----BEGIN CERTIFICATE-----\nMIIB\n` }, /client authorities/],
  ]
  for (const [files, why] of states) {
    reports = []
    await write({ ...first, ca: authority.cert, ...files })
    await looks(4)
    assert.equal(reports.length, 1, String(why))
    assert.match(reports[0] ?? '', why)
  }
  refuses = true
  reports = []
  await write({ ...second, ca: authority.cert })
  await looks(4)
  refuses = false
  assert.deepEqual(reports, ['OpenSSL says no.'])
  await rm(path('key'))
  await looks(4)
  assert.match(reports[1] ?? '', /ENOENT/)
  assert.deepEqual(taken, [])
  await write(first)
  await looks(2)
  assert.deepEqual([taken, reports.slice(2)], [[], [null]], 'the files are again what is served')
})

test('a certificate whose time has not come is taken when it has', async () => {
  const early = await authority.issue({ usage: 'server', from: 1, to: 9 })
  await write(early)
  await looks(2)
  now += 2 * 86_400_000
  await looks(1)
  assert.deepEqual(reports, ['The certificate is not valid yet.', null])
  assert.deepEqual(taken, [{ ...early, ca: authority.cert }])
})

test('the authorities of client certificates are followed like the certificate', async () => {
  await write({ ca: authority.cert + other.cert })
  await looks(2)
  assert.deepEqual(taken, [{ ...first, ca: authority.cert + other.cert }])
})

test('a folder that is swapped as Kubernetes does, by a link, is taken whole', async () => {
  for (const [name, pair] of Object.entries({ one: first, two: second })) {
    await mkdir(path(name))
    for (const [file, text] of Object.entries(pair)) await writeFile(path(`${name}/${file}`), text)
  }
  await symlink('one', path('data'))
  watch.close()
  begin({ key: path('data/key'), cert: path('data/cert'), ca: null })
  await looks(2)
  await symlink('two', path('data.new'))
  await rename(path('data.new'), path('data'))
  await looks(2)
  assert.deepEqual(taken, [{ ...second, ca: null }])
  assert.equal(await readFile(path('data/key'), 'utf8'), second.key)
})

test('authorities are one certificate in PEM or more, with or without words between them', () => {
  assert.equal(isAuthorities(authority.cert), true)
  assert.equal(isAuthorities(`# ours\n${authority.cert}# theirs\n${other.cert}`), true)
  for (const text of ['', 'x', first.key, authority.cert.slice(0, -10), authority.cert.replace('MII', 'AAA')])
    assert.equal(isAuthorities(text), false, text.slice(0, 40))
})
