import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { outputOf, type Server } from '../../src/backup/postgres-programs.ts'

const dir = mkdtempSync(join(tmpdir(), 'earthflow-programs-'))
const program = join(dir, 'told')
const secrets = { EARTHFLOW_MASTER_KEY: 'a', EARTHFLOW_ADMIN_API_KEY: 'b', POSTGRES_PASSWORD: 'c', OPENAI_API_KEY: 'd' }

before(() => {
  writeFileSync(program, '#!/bin/sh\necho "argv=$*"\nenv\n')
  chmodSync(program, 0o755)
})
after(() => rmSync(dir, { recursive: true, force: true }))

/** What the program sees: its arguments, and its environment. */
async function seen(url: string, { environment = {}, tls = false }: Partial<Server> = {}): Promise<Record<string, string>> {
  const server: Server = { url, tls, version: 170_000, environment: { PATH: process.env.PATH, ...secrets, ...environment } }
  let text = ''
  for await (const chunk of outputOf(program, ['--format=custom'], server, new AbortController().signal)) text += chunk
  return Object.fromEntries(text.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
}

test('no part of a password stands among the arguments, whatever it is made of', async () => {
  for (const [written, password] of [
    ['plain', 'plain'],
    ['half@other', 'half@other'],
    ['a:b@c@d', 'a:b@c@d'],
    ['%40%2F%3A', '@/:'],
  ] as const) {
    const { argv, PGPASSWORD } = await seen(`postgres://user:${written}@db.example:5433/earthflow?application_name=x`)
    assert.deepEqual([argv, PGPASSWORD], ['--format=custom --dbname=postgres://user@db.example:5433/earthflow', password])
  }
  assert.equal((await seen('postgres://user@db.example/earthflow?password=secret')).argv, '--format=custom --dbname=postgres://user@db.example/earthflow')
})

test('the programs are given no key of ours, and what is theirs', async () => {
  const given = await seen('postgres://user@db.example/earthflow', { environment: { PGSSLCERT: '/client.pem', LC_ALL: 'C', DATABASE_URL: 'postgres://' } })
  for (const name of [...Object.keys(secrets), 'DATABASE_URL']) assert.equal(name in given, false, name)
  assert.deepEqual([given.PGSSLCERT, given.LC_ALL], ['/client.pem', 'C'])
})

test('where TLS is demanded it is verified, by the authority that Earthflow trusts itself, whatever the URL says', async () => {
  const url = 'postgres://user@db.example/earthflow?sslmode=require'
  assert.equal((await seen(url)).argv, `--format=custom --dbname=${url}`)
  for (const [environment, authority] of [
    [{}, 'system'],
    [{ NODE_EXTRA_CA_CERTS: '/ca.pem' }, '/ca.pem'],
    [{ NODE_EXTRA_CA_CERTS: '/ca.pem', PGSSLROOTCERT: '/other.pem' }, '/other.pem'],
  ] as const) {
    const { argv, PGSSLMODE, PGSSLROOTCERT } = await seen(url, { tls: true, environment })
    assert.deepEqual([argv, PGSSLMODE, PGSSLROOTCERT], ['--format=custom --dbname=postgres://user@db.example/earthflow', 'verify-full', authority])
  }
})
