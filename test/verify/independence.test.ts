import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

/** All that whoever writes the log and whoever verifies it may share. */
const shared = ['../audit/leaf.ts', '../audit/entry.ts']

test('the verifier shares nothing with the writer but the format of an entry', () => {
  const files = globSync('src/verify/*.ts')
  assert.ok(files.length > 10)
  const imported = files.flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/from '(\.\.\/audit\/[^']+)'/g)].map(([, path]) => path!))
  assert.deepEqual([...new Set(imported)].sort(), [...shared].sort())
})

test('what verifies a file opens neither a database nor a connection, and reads no settings', () => {
  const offline = ['verify-log.ts', 'verify-export.ts', 'read-records.ts', 'read-checkpoints.ts', 'signed-note.ts']
  const reached = new Set(offline)
  for (const file of reached) {
    for (const [, path] of readFileSync(`src/verify/${file}`, 'utf8').matchAll(/from '\.\/([^']+)'/g)) reached.add(path!)
  }
  const texts = [...reached].map((file) => readFileSync(`src/verify/${file}`, 'utf8')).join('\n')
  assert.doesNotMatch(texts, /from '\.\.\/(?:db|config|crypto)|node:(?:net|http|https|tls|dns|dgram)'|process\.env/)
})
