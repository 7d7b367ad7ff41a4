import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { before, test } from 'node:test'
import { isCertificateName, namesIn } from '../../src/access/certificate-names.ts'
import { type Authority, makeAuthority, type Wanted } from '../proxy/client-certificates.ts'

let authority: Authority
before(async () => {
  authority = await makeAuthority()
})
const namesOf = async (wanted: Wanted): Promise<readonly string[]> => namesIn(new X509Certificate((await authority.issue(wanted)).cert))

test('the names of a certificate are its alternative names and its one common name, values exactly as they are', async () => {
  const names = await namesOf({
    subject: 'CN=Robot 7, O=Acme',
    names: [
      { type: 'url', value: 'spiffe://Example.com/Robot' },
      { type: 'dns', value: 'robot.example.com' },
      { type: 'email', value: 'robot@example.com' },
      { type: 'ip', value: '10.0.0.1' },
    ],
  })
  assert.deepEqual(names, ['uri:spiffe://Example.com/Robot', 'dns:robot.example.com', 'email:robot@example.com', 'cn:Robot 7'])
  assert.deepEqual(await namesOf({ subject: 'O=Acme' }), [])
})

test('one value is one name, whatever it holds: nobody smuggles in a second', async () => {
  for (const value of ['urn:a,DNS:admin.example.com', 'urn:a",DNS:admin.example.com,URI:"b', 'urn:a\\",DNS:admin.example.com', "urn:'a',URI:spiffe://e/admin"])
    assert.deepEqual(await namesOf({ subject: 'O=x', names: [{ type: 'url', value }] }), [`uri:${value}`])
  for (const value of ['urn:a, DNS:admin.example.com', 'urn:a", DNS:admin.example.com, URI:"b', 'urn:é'])
    assert.deepEqual(await namesOf({ subject: 'O=x', names: [{ type: 'url', value }] }), [], value)
  assert.deepEqual(await namesOf({ subject: 'CN="a, CN=admin"' }), ['cn:a, CN=admin'])
  assert.deepEqual(await namesOf({ subject: 'CN=a\\nCN=admin' }).then((names) => names.includes('cn:admin')), false)
})

test('of two common names neither counts, and a certificate in which something is hidden has no names', async () => {
  assert.deepEqual(await namesOf({ subject: 'CN=robot, CN=admin', names: [{ type: 'dns', value: 'a.example.com' }] }), ['dns:a.example.com'])
  for (const value of ['admin.example.com\0.evil.example.com', 'a\nb', 'a\u0007']) {
    assert.deepEqual(
      await namesOf({
        names: [
          { type: 'dns', value },
          { type: 'dns', value: 'good.example.com' },
        ],
      }),
      [],
      JSON.stringify(value),
    )
  }
  const many = Array.from({ length: 101 }, (_, i) => ({ type: 'dns' as const, value: `a${i}.example.com` }))
  assert.deepEqual(await namesOf({ names: many }), [])
})

test('a key may have a name in that spelling only', () => {
  for (const name of ['uri:spiffe://a/b', 'dns:a.example.com', 'email:a@b.example', 'cn:Robot 7']) assert.equal(isCertificateName(name), true, name)
  for (const name of ['', 'cn:', 'CN=robot', 'URI:spiffe://a', 'ip:10.0.0.1', 'cn:a\nb', 'cn:a\0', `cn:${'a'.repeat(1_000)}`])
    assert.equal(isCertificateName(name), false, name)
})
