/** Habits the compiler and the linter do not keep for us. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path/posix'
import { test } from 'node:test'

const LINES_MAX = 400
const DIRECT_DEPENDENCIES_MAX = 25

/** Where connections to the outside are opened: the guarded dispatcher, the database, and the verbs that ask a running Earthflow. Everything else asks them. */
const mayConnect = /^(egress|db|cli)\//

/** Ways to reach the network past the guarded dispatcher. A method (`app.fetch(…)`, or its declaration) is not one. */
const connecting: readonly RegExp[] = [
  /(?<![\w.$])fetch\s*\((?!\s*\w+\??\s*:)|\bglobalThis\.fetch\b/,
  /\b(?:http|https|http2|net|tls|dgram)\.(?:request|get|connect|createConnection|createSocket)\s*\(/,
  /\bnew\s+(?:Pool|Agent|Client|BalancedPool|RoundRobinPool|ProxyAgent|EnvHttpProxyAgent|WebSocket|EventSource|Socket)\s*\(/,
  /\bimport\s+(?!type\b)(?![^;'"]*\{(?:\s*type\s+\w+,?)+\s*\})[^;'"]*\bfrom\s*'undici'|\b(?:import|require)\s*\(\s*'undici'/,
  /\bimport\s*\{[^}]*\b(?:request|get|connect|createConnection|createSocket)\b[^}]*\}\s*from\s*'node:(?:http|https|http2|net|tls|dgram)'/,
]

const environment = /\bprocess\s*(?:\.\s*env\b|\[\s*['"`]env)|\benv\b[^;'"]*\bfrom\s*'node:process'/
const writing = /\bconsole\s*\.\s*\w+/
const untyped = /(?::\s*|\bas\s+|<|<[^<>()]*,\s*|\|\s*|&\s*)any\b(?!\s*[('"`])(?=\s*(?:\[|[,;)>=|&{}]|$))/
const unfinished = /\b(?:TODO|FIXME|XXX|HACK)\b/

/** Names that say nothing about what is inside. */
const emptyNames = ['utils', 'util', 'helpers', 'helper', 'manager', 'base', 'common', 'misc', 'data', 'info', 'stuff']

const src = filesOf('src/**/*.ts')
const everyFile = ['src', 'test', 'scripts'].flatMap((folder) => globSync(`${folder}/**/*.{ts,mjs}`).map((path) => path.replaceAll('\\', '/')))
const packageJson = JSON.parse(readFileSync('package.json', 'utf8')) as Record<
  'dependencies' | 'devDependencies' | 'optionalDependencies',
  Record<string, string>
>
const packages = Object.entries((JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, LockedPackage> }).packages).filter(
  ([path]) => path !== '',
)

interface LockedPackage {
  integrity?: string
  resolved?: string
  hasInstallScript?: boolean
  dev?: boolean
  optionalDependencies?: Record<string, string>
}

test('only config.ts reads the environment', () => {
  assert.deepEqual(linesWith(environment, { except: /^config\.ts$/ }), [])
})

test('nothing in src writes to the console: there is a log', () => {
  assert.deepEqual(linesWith(writing), [])
})

test('nothing in src is of type any', () => {
  assert.deepEqual(linesWith(untyped, { strings: false }), [])
})

test('no work is left as a note in the code', () => {
  assert.deepEqual(linesWith(unfinished, { comments: true }), [])
})

test(`no file of src is longer than ${LINES_MAX} lines`, () => {
  const long = [...src].filter(([, text]) => text.split('\n').length > LINES_MAX).map(([path]) => path)
  assert.deepEqual(long, [])
})

test('nothing but the guarded dispatcher, the database and the verbs opens connections', () => {
  assert.deepEqual(
    connecting.flatMap((pattern) => linesWith(pattern, { except: mayConnect })),
    [],
  )
})

test('what is not allowed is recognised, and what only looks like it is not', () => {
  const samples: readonly { patterns: readonly RegExp[]; caught: readonly string[]; passed: readonly string[] }[] = [
    {
      patterns: [environment],
      caught: ['process.env.A', "process['env']", "import { env } from 'node:process'"],
      passed: ['process.exit()', 'environment', 'const env = read()'],
    },
    { patterns: [writing], caught: ['console.log(1)', 'console.error(e)'], passed: ['consoleText', 'log.info(1)'] },
    {
      patterns: [untyped],
      caught: ['(a: any)', 'x as any', 'let a: any[] = b', 'Promise<any>', 'Map<string, any>', 'a: string | any = 1', 'a: any'],
      passed: ['{ any: [] }', 'if (any(list))', '{ kind: any.kind }', 'all, any, not]', "'any'", '// as any other'],
    },
    { patterns: [unfinished], caught: ['// TODO: later', '/* FIXME */'], passed: ['mastodon'] },
    {
      patterns: connecting,
      caught: [
        'await fetch(url)',
        'globalThis.fetch',
        'https.request({})',
        'net.connect(80)',
        'tls.connect({})',
        'new Agent({})',
        "new Client('http://a')",
        'new Pool(url)',
        'new WebSocket(url)',
        "import { request } from 'undici'",
        "import { type Dispatcher, request } from 'undici'",
        "import undici from 'undici'",
        "await import('undici')",
        "import { createServer, request } from 'node:http'",
        "import { connect } from 'node:net'",
      ],
      passed: [
        'app.fetch(request)',
        'fetch(request: Request): Promise<Response>',
        'prefetch(url)',
        "import type { Dispatcher } from 'undici'",
        "import { type Dispatcher } from 'undici'",
        "import { type IncomingMessage, createServer } from 'node:http'",
        'map.get(name)',
        'createPool(url)',
        "server.on('connect', tunnel)",
      ],
    },
  ]
  for (const { patterns, caught, passed } of samples) {
    const catches = (text: string) => patterns.some((pattern) => pattern.test(withoutComments(text)) || (patterns[0] === unfinished && pattern.test(text)))
    assert.deepEqual(
      caught.filter((text) => !catches(text)),
      [],
    )
    assert.deepEqual(passed.filter(catches), [])
  }
})

test('files are named in kebab-case, after what they do', () => {
  const names = everyFile.map((path) => basename(path).replace(/(\.test)?\.(ts|mjs)$/, ''))
  assert.deepEqual(
    names.filter((name) => !/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(name)),
    [],
  )
  assert.deepEqual(
    // A data key is what it is called.
    names.filter((name) =>
      name
        .replace('data-keys', 'keys')
        .split('-')
        .some((word) => emptyNames.includes(word)),
    ),
    [],
  )
})

test('every dependency has one exact version', () => {
  const all = { ...packageJson.dependencies, ...packageJson.devDependencies, ...packageJson.optionalDependencies }
  assert.deepEqual(
    Object.entries(all).filter(([, version]) => !/^(?:npm:(?:@[\w-]+\/)?[\w-]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version)),
    [],
  )
})

test(`there are at most ${DIRECT_DEPENDENCIES_MAX} direct production dependencies`, () => {
  assert.ok(Object.keys(packageJson.dependencies).length <= DIRECT_DEPENDENCIES_MAX)
})

test('the lockfile knows the hash of every package, and no address, so that any registry will do and none can slip in', () => {
  assert.ok(packages.length > 100, 'the lockfile was read')
  assert.deepEqual(
    packages.filter(([, entry]) => !/^sha512-/.test(entry.integrity ?? '')).map(([path]) => path),
    [],
  )
  const addressed = packages.filter(([, { resolved }]) => resolved !== undefined)
  assert.deepEqual(
    addressed.map(([path]) => path),
    [],
  )
})

test('the lockfile has the packages of every platform, without which npm ci refuses it', () => {
  const locked = new Set(packages.map(([path]) => path))
  const missing = packages.flatMap(([path, entry]) =>
    Object.keys(entry.optionalDependencies ?? {}).filter((name) => !locked.has(`node_modules/${name}`) && !locked.has(`${path}/node_modules/${name}`)),
  )
  assert.deepEqual(missing, [])
})

test('no production dependency has an install script', () => {
  assert.deepEqual(
    packages.filter(([, entry]) => entry.hasInstallScript && !entry.dev).map(([path]) => path),
    [],
  )
})

function filesOf(pattern: string): Map<string, string> {
  return new Map(globSync(pattern).map((path) => [path.replaceAll('\\', '/').replace(/^src\//, ''), readFileSync(join(path), 'utf8')]))
}

/** The lines of src that match, as `proxy/app.ts:12: the line`. Comments are left out unless asked for. */
function linesWith(pattern: RegExp, { except, comments = false, strings = true }: { except?: RegExp; comments?: boolean; strings?: boolean } = {}): string[] {
  const found: string[] = []
  for (const [path, text] of src) {
    if (except?.test(path)) continue
    const lines = (comments ? text : withoutComments(text)).split('\n')
    lines.forEach((line, index) => {
      if (pattern.test(strings ? line : line.replaceAll(/'(?:[^'\\]|\\.)*'/g, "''"))) found.push(`${path}:${index + 1}: ${line.trim()}`)
    })
  }
  return found
}

/** Blanks comments and keeps the lines. A line comment counts only after a space or at the start, so that `https://` in a string survives. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' ')).replace(/(^|\s)\/\/.*$/gm, '$1')
}
