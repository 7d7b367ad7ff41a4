import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const terminal = fileURLToPath(new URL('../../src/cli/terminal.ts', import.meta.url))

test('where standard output is closed nothing goes on: a sentence says that what was made was not shown, and nothing of it is repeated', async () => {
  const program = `
    const { terminal } = await import(${JSON.stringify(terminal)})
    await terminal.read('-')
    terminal.out('a-secret-that-was-made')
    await new Promise((done) => setTimeout(done, 10_000))
    terminal.error('more was made')`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: 'pipe' })
  const said = text(child.stderr)
  child.stdout.destroy()
  await once(child.stdout, 'close')
  child.stdin.end('go')
  const [code] = await once(child, 'close')
  assert.deepEqual(
    [code, await said],
    [1, 'Standard output is closed (EPIPE): what was not shown is lost. If new keys or a password were among it, make others.\n'],
  )
})
