/** The tables of the documentation that say what the code has: `npm run docs` writes them, and a test compares them. */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { createAdmin } from '../../src/admin/app.ts'
import { dialects } from '../../src/dialects/index.ts'
import { checks } from '../../src/doctor/checks.ts'
import { reasons } from '../../src/errors.ts'
import { createOperations } from '../../src/proxy/operations.ts'
import { detectors } from '../../src/rules/detectors.ts'
import { operators } from '../../src/rules/operators.ts'
import { presets } from '../../src/rules/presets.ts'
import { targetTable } from '../../src/rules/targets.ts'
import { type Setting, settings } from '../../src/settings.ts'
import { events } from '../../src/webhooks/event.ts'
import { FRONT_HEAD, frontRows } from '../bench/report/front-table.ts'
import { readRecorded } from '../bench/report/record.ts'

export interface Doc {
  path: string
  text: string
}

/** Every page a reader of the project may meet. */
export const readDocs = (): Doc[] =>
  globSync(['*.md', 'src/**/*.md', 'k8s/**/*.md', 'certs/*.md', 'scripts/**/*.md', 'test/*.md'])
    .toSorted()
    .map((path) => ({ path: path.replaceAll('\\', '/'), text: readFileSync(path, 'utf8') }))

/** The management API as it is served. */
const adminRoutes = createAdmin({ keys: {}, upstreams: {}, dialects, adminKey: null } as never).routes
/** Routes that answer before anybody is known, with the sentence for each. */
const operations: Readonly<Record<string, readonly [scope: string, about: string]>> = {
  'GET /openapi.json': ['public', 'This API as an OpenAPI 3.1 document.'],
  'GET /docs': ['public', 'The same as a page to read, which asks nobody else for anything.'],
  'GET /health': ['public', 'Version and uptime.'],
  'GET /health/live': ['public', '200 while the process lives.'],
  'GET /health/ready': ['public', 'Each check as ok, degraded or failed; 503 only when a new call would be refused.'],
  'GET /health/services': ['public', 'The same checks with their details, always 200.'],
  'GET /info': ['public', 'Version, dialects, kind of database.'],
  'GET /v1/dashboard/metrics': ['admin', 'Prometheus text.'],
}
export const operationRoutes: readonly string[] = createOperations({ adminKey: 'x' } as never)
  .routes.filter(({ method }) => method !== 'ALL')
  .map(({ method, path }) => `${method} ${path}`)

const about = (name: string, { about, secret }: Setting<unknown>): string => `${about}${secret ? ` (secret: also as \`${name}_FILE\`)` : ''}`

/** The first line of each table, and its rows as the code has them. */
export const tables: Readonly<Record<string, readonly string[]>> = {
  '| setting | default | what it does |': Object.entries<Setting<unknown>>(settings).map(
    ([name, setting]) => `| \`${name}\` | ${setting.default === null ? '' : `\`${setting.default}\``} | ${about(name, setting)} |`,
  ),
  '| route | scope | what it does |': [
    ...adminRoutes
      .filter(({ method, path }) => !(`${method} ${path}` in operations))
      .map(({ method, path, scope, summary }) => `| \`${method} ${path}\` | ${scope} | ${summary} |`),
    ...Object.entries(operations).map(([route, [scope, about]]) => `| \`${route}\` | ${scope} | ${about} |`),
  ],
  '| status | reason | code | SDKs may retry |': Object.entries(reasons).map(
    ([reason, { status, code, retry }]) => `| ${status} | \`${reason}\` | \`${code}\` | ${retry ? 'yes' : 'no'} |`,
  ),
  '| target | what it means |': Object.entries(targetTable).map(([name, { about }]) => `| \`${name}\` | ${about} |`),
  '| operator | holds when |': Object.entries(operators).map(([name, { about }]) => `| \`${name}\` | ${about} |`),
  '| detector | finds, and how | does not claim | placeholder |': detectors.map(
    ({ name, about, limits, placeholder }) => `| \`${name}\` | ${about} | ${limits} | \`${placeholder}\` |`,
  ),
  '| preset | what it does |': Object.entries(presets).map(([name, { about }]) => `| \`${name}\` | ${about} |`),
  '| check of `earthflow doctor` | that |': checks.map(({ name, about }) => `| \`${name}\` | ${about} |`),
  [FRONT_HEAD]: frontRows(readRecorded()),
  '| event | told when |': Object.entries(events).map(([name, about]) => `| \`${name}\` | ${about} |`),
}

/** The page with the rows of its tables as they should be. */
export function withTables(text: string): string {
  const lines = text.split('\n')
  return lines
    .flatMap((line, i) => {
      const rows = tables[line]
      if (rows) return [line, lines[i + 1]!, ...rows]
      const start = lines.findLastIndex((above, at) => at < i && !above.startsWith('|')) + 1
      return tables[lines[start]!] && line.startsWith('|') ? [] : [line]
    })
    .join('\n')
}

if (import.meta.main) for (const { path, text } of readDocs()) if (withTables(text) !== text) writeFileSync(path, withTables(text))
