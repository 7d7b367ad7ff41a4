import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'

const MODULE = new URL('../../src/telemetry/standard-output.ts', import.meta.url).href

/** A process that writes so many lines of 100 bytes, and then does this. */
function run(lines: number, then: string) {
  const script = `
    import { openStandardOutput } from ${JSON.stringify(MODULE)}
    const out = openStandardOutput({ isShared: false })
    for (let i = 0; i < ${lines}; i++) out.write('x'.repeat(99) + '\\n')
    ${then}`
  return spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] })
}
const END = '.then(() => process.exit(7))'

test('lines that wait are written however the process ends', async () => {
  for (const [then, status] of [
    ['process.exit(6)', 6],
    ['', 0],
    [`out.close()${END}`, 7],
  ] as const) {
    const child = run(10, then)
    let text = ''
    child.stdout.on('data', (bytes) => (text += bytes))
    const [code] = await once(child, 'close')
    assert.equal(code, status)
    assert.equal(text.length, 1_000)
  }
})

test('a process whose output nobody reads ends, also where it is to end twice', { timeout: 30_000 }, async () => {
  for (const then of [`out.close()${END}`, `out.close()${END}; out.close()${END}`]) {
    const child = run(10_000, then)
    const [code] = await once(child, 'exit')
    assert.equal(code, 7)
  }
})
