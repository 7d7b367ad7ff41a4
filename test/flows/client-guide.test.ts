/** The README's client guide, tried as a new user would: the program is started, and every snippet runs as it stands there. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { until } from '../harness/client.ts'
import { freePort } from '../services/server-process.ts'

const project = join(import.meta.dirname, '../..')
const readme = readFileSync(join(project, 'README.md'), 'utf8')
const guide = /^## Client guide\n([\s\S]*?)^## /m.exec(readme)?.[1] ?? ''

interface Snippet {
  title: string
  language: string
  code: string
  /** It only sets what the snippets after it read. */
  prepares: boolean
}
const snippets = Array.from(guide.matchAll(/^(?:\*\*([^*]+)\*\*.*\n|```(\w+)\n([\s\S]*?)^```)/gm)).reduce<{ title: string; found: Snippet[] }>(
  ({ title, found }, [, heading, language = '', code = '']) =>
    heading === undefined
      ? { title, found: [...found, { title, language, code, prepares: code.split('\n').every((line) => line === '' || line.startsWith('export ')) }] }
      : { title: heading, found },
  { title: 'first', found: [] },
).found

let home: string
let environment: NodeJS.ProcessEnv
let child: ChildProcess
let port: number
let output = ''

before(async () => {
  home = mkdtempSync(join(tmpdir(), 'earthflow-guide-'))
  environment = { PATH: process.env.PATH, HOME: home, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }
  symlinkSync(join(project, 'node_modules'), join(home, 'node_modules'))
  port = await freePort()
  child = spawn(process.execPath, [join(project, 'src/main.ts'), 'start'], {
    cwd: home,
    env: { ...environment, EARTHFLOW_ENV: 'development', EARTHFLOW_PORT: String(port), EARTHFLOW_SERVICES: 'proxy' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)))
  await until(() => output.includes('Earthflow is ready at') || child.exitCode !== null, 'Earthflow to be ready')
  assert.equal(child.exitCode, null, output)
})
after(async () => {
  child.kill('SIGTERM')
  await until(() => child.exitCode !== null || child.signalCode !== null, 'Earthflow to end')
  rmSync(home, { recursive: true, force: true })
})

/** All that prepares and stands before a snippet, and the snippet, in one shell: what a reader who pastes one after the other has. */
function run(index: number): Promise<{ code: number; stdout: string; stderr: string }> {
  const prepared = snippets.slice(0, index).filter(({ prepares }) => prepares)
  const script = [...prepared, snippets[index]]
    .map(({ language, code }) => (language === 'js' ? `node --input-type=module <<'SNIPPET'\n${code}SNIPPET\n` : code))
    .join('')
    .replaceAll('localhost:8443', `localhost:${port}`)
  return new Promise((resolve) => {
    execFile(
      'bash',
      ['--norc', '-euc', script],
      { cwd: home, env: { ...environment, PATH: `${join(process.execPath, '..')}:${process.env.PATH}` }, timeout: 60_000 },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr }),
    )
  })
}

test('the guide holds snippets for every library the README names', () => {
  const imported = new Set(snippets.flatMap(({ code }) => [...code.matchAll(/from '([^']+)'/g)].map(([, name]) => name)))
  assert.deepEqual([...imported].sort(), ['@ai-sdk/openai', '@anthropic-ai/sdk', '@google/genai', 'ai', 'openai'])
  assert.ok(snippets.filter(({ prepares }) => !prepares).length >= 8)
})

for (const [index, { title, language, prepares }] of snippets.entries()) {
  if (prepares) continue
  test(`the snippet "${title}" (${language}) runs as it stands and is answered by the sandbox`, async () => {
    const { code, stdout, stderr } = await run(index)
    assert.equal(code, 0, stderr)
    assert.match(stdout, /You said: Hello/)
    assert.doesNotMatch(stdout, /536-90-4399/)
  })
}
