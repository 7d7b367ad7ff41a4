/** The page for people: written from the OpenAPI document, without scripts, and without anything that lies elsewhere. */
import { hash } from 'node:crypto'
import { alike, deliveryAnswers, deliveryHeaders } from './events.ts'
import { exampleOf } from './example.ts'
import type { JsonSchema, OpenApi, Operation, Parameter } from './openapi.ts'

export interface Page {
  html: string
  /** The content security policy under which it is shown: nothing but its own style. */
  policy: string
}

const style = `
:root { color-scheme: light dark; --text: #1b1f24; --faint: #59636e; --back: #fff; --box: #f3f5f7; --line: #d6dce2; --link: #0757ba; }
@media (prefers-color-scheme: dark) { :root { --text: #e3e8ee; --faint: #9aa5b1; --back: #14181d; --box: #1d232a; --line: #333c46; --link: #7ab8ff; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; color: var(--text); background: var(--back); font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
a { color: var(--link); }
h1 { margin: .5rem 0; } h2 { margin: 2.5rem 0 .5rem; text-transform: capitalize; } h3 { margin: 0; font-size: 1rem; font-weight: 600; }
nav summary { text-transform: capitalize; } nav ul { columns: 17rem; padding: 0; list-style: none; margin: .25rem 0 1rem; } nav li { break-inside: avoid; }
article { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; margin: .75rem 0; }
article:target { border-color: var(--link); }
code, pre { font: .875rem/1.5 ui-monospace, monospace; }
pre { background: var(--box); border-radius: .4rem; padding: .6rem .75rem; margin: .4rem 0; overflow-x: auto; overflow-wrap: normal; white-space: pre; }
h3 b { display: inline-block; min-width: 4rem; font-family: ui-monospace, monospace; } h3 a { color: inherit; text-decoration: none; }
h3 a:hover, h3 a:focus-visible { text-decoration: underline; }
p { margin: .35rem 0; } .faint { color: var(--faint); }
details { margin-top: .4rem; } summary { cursor: pointer; color: var(--faint); }
.wide { overflow-x: auto; overflow-wrap: normal; } td:last-child { min-width: 12rem; overflow-wrap: anywhere; } table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--faint); }
`

const DEPTH_MAX = 3

export function pageOf(document: OpenApi): Page {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  )
  const { title, version, description } = document.info as Record<string, string>
  const of = (tag: string): typeof operations => operations.filter(({ operation }) => operation.tags.includes(tag))
  const areas = document.tags.filter(({ name }) => of(name).length > 0)
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)} ${escaped(version)}: the API</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${escaped(title)} <small class="faint">${escaped(version)}</small></h1>
<p>${escaped(description)}</p>
<p>For programs: <a href="/openapi.json">openapi.json</a>. In the examples, <code>EARTHFLOW_URL</code> is this address and <code>EARTHFLOW_KEY</code> the administrator's key or a tenant's.</p>
</header>
<nav aria-label="Routes">
${areas
  .map(
    ({ name }) =>
      `<details><summary>${escaped(name)}</summary><ul><li><a href="#${name}">All of it</a></li>${of(name)
        .map(({ path, method, operation }) => `<li><a href="#${operation.operationId}"><code>${method.toUpperCase()} ${escaped(path)}</code></a></li>`)
        .join('')}</ul></details>`,
  )
  .join('\n')}
<details><summary>events</summary><ul><li><a href="#events">All of it</a></li>${Object.keys(document.webhooks)
    .map((type) => `<li><a href="#event${type}"><code>${type}</code></a></li>`)
    .join('')}</ul></details>
</nav>
<main>
${areas
  .map(
    ({ name, description: about }) => `<section id="${name}">
<h2>${escaped(name)}</h2>
<p>${escaped(about)}</p>
${of(name)
  .filter((one) => !isProviders(one))
  .map((one) => articleOf(one, document))
  .join('\n')}
${providersTable(of(name).filter(isProviders))}
</section>`,
  )
  .join('\n')}
${eventsSection(document)}
<section id="errors"><h2>Errors</h2><p>${escaped(String(document.components.schemas.error.description))}</p>${membersOf(document.components.schemas.error)}</section>
</main>
</body>
</html>
`
  const policy = `default-src 'none'; style-src 'sha256-${hash('sha256', style, 'base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`
  return { html, policy }
}

function articleOf({ path, method, operation }: Shown, { components }: OpenApi): string {
  const { operationId, summary, description, parameters, requestBody, responses } = operation
  const known = parameters.map((one) => ('$ref' in one ? components.parameters[one.$ref.slice(one.$ref.lastIndexOf('/') + 1)] : one))
  const sent = requestBody?.content['application/json']?.schema
  const got = Object.entries(responses).flatMap(([status, one]) => {
    const { schema } = (one as { content?: Record<string, { schema: JsonSchema }> }).content?.['application/json'] ?? {}
    return /^2/.test(status) && schema ? [schema] : []
  })
  return `<article id="${operationId}">
<h3><a href="#${operationId}"><b>${method.toUpperCase()}</b> <code>${escaped(path)}</code></a></h3>
<p>${escaped(summary)}</p>
${description ? `<p class="faint">${escaped(description)}</p>` : ''}
<pre tabindex="0"><code>${escaped(curlOf(path, method, operation, known, sent))}</code></pre>
${known.length > 0 ? `<details><summary>Parameters</summary>${parameterTable(known)}</details>` : ''}
${sent && hasMembers(sent) ? `<details><summary>Body</summary>${membersOf(sent)}</details>` : ''}
${got
  .filter(hasMembers)
  .map((schema) => `<details><summary>Answer</summary>${membersOf(schema)}</details>`)
  .join('')}
</article>`
}

/** What webhooks are sent: the events, what surrounds them, and below the members of those that look alike. */
function eventsSection({ tags, webhooks }: OpenApi): string {
  const about = tags.find(({ name }) => name === 'events')
  const schemaOf = (type: string): JsonSchema => webhooks[type].post.requestBody?.content['application/json'].schema ?? {}
  const headers = deliveryHeaders.map(({ name, description = '' }) => [`<code>${name}</code>`, escaped(description)])
  const answers = Object.entries(deliveryAnswers).map(([status, { description }]) => [`<code>${status}</code>`, escaped(description)])
  return `<section id="events">
<h2>events</h2>
<p>${escaped(about?.description ?? '')}</p>
${table(
  Object.entries(webhooks).map(([type, { post }]) => [`<code id="${post.operationId}">${type}</code>`, escaped(post.summary)]),
  ['event', 'when'],
)}
<details><summary>Headers of a delivery</summary>${table(headers, ['header', 'what'])}</details>
<details><summary>What an answer means</summary>${table(answers, ['status', 'what becomes of it'])}</details>
${alike.map(({ name, types }) => `<details><summary>Body of ${name}</summary>${membersOf(schemaOf(types[0]))}</details>`).join('\n')}
</section>`
}

interface Shown {
  path: string
  method: string
  operation: Operation
}

/** Of a provider's path, the provider's documentation tells more than this page could. */
const isProviders = ({ operation: { requestBody } }: Shown): boolean =>
  requestBody !== undefined && requestBody.content['application/json'].schema.properties === undefined

const providersTable = (shown: readonly Shown[]): string =>
  shown.length === 0
    ? ''
    : table(
        // One row a format: its paths say nothing that its provider does not.
        Array.from(
          Map.groupBy(shown, ({ operation: { summary } }) => summary),
          ([summary, paths]) => [
            escaped(summary),
            paths
              .map(({ path, method, operation: { operationId } }) => `<code id="${operationId}">${method.toUpperCase()} ${escaped(path)}</code>`)
              .join('<br>'),
          ],
        ),
        ['what it is', 'paths'],
      )

const hasMembers = ({ properties = {} }: JsonSchema): boolean => Object.keys(properties as object).length > 0

const parameterTable = (parameters: readonly Parameter[]): string =>
  table(
    parameters.map(({ name, in: place, required, description, schema }) => [
      `<code>${escaped(name)}</code>`,
      `${place}${required ? ', required' : ''}`,
      `${escaped(kindOf(schema))}${description === undefined ? '' : `. ${escaped(description)}`}`,
    ]),
    ['name', 'where', 'what'],
  )

function membersOf(schema: JsonSchema): string {
  return table(rowsOf(schema, '', 0), ['member', 'type', 'about'])
}

/** The members of an object, and below each those of what it holds: `rules[].name`. */
function rowsOf({ properties = {}, required = [] }: JsonSchema, before: string, depth: number): string[][] {
  return Object.entries(properties as Record<string, JsonSchema>).flatMap(([name, schema]) => {
    if (schema.readOnly === true) return []
    const inside = insideOf(schema)
    const path = `${before}${name}${inside?.list ? '[]' : ''}`
    const row = [
      `<code>${escaped(path)}</code>${(required as string[]).includes(name) ? '' : ' <span class="faint">optional</span>'}`,
      escaped(kindOf(schema)),
      typeof schema.description === 'string' ? escaped(schema.description) : '',
    ]
    return [row, ...(inside && depth < DEPTH_MAX ? rowsOf(inside.schema, `${path}.`, depth + 1) : [])]
  })
}

function insideOf(schema: JsonSchema): { schema: JsonSchema; list: boolean } | null {
  if (schema.properties !== undefined) return { schema, list: false }
  if (typeof schema.items === 'object' && schema.items !== null) {
    const found = insideOf(schema.items as JsonSchema)
    return found && { ...found, list: true }
  }
  for (const one of (schema.anyOf ?? []) as JsonSchema[]) {
    const found = insideOf(one)
    if (found) return found
  }
  return null
}

/** The type in a few words, with its bounds. */
function kindOf(schema: JsonSchema): string {
  if (Array.isArray(schema.enum)) return schema.enum.map(String).join(' | ')
  if (schema.const !== undefined) return String(schema.const)
  if (Array.isArray(schema.anyOf)) return (schema.anyOf as JsonSchema[]).map(kindOf).join(' | ')
  const { type, format, items, minimum, maximum, maxLength } = schema
  if (type === 'array') return `list of ${kindOf((items ?? {}) as JsonSchema)}`
  const bounds = [
    ...(typeof minimum === 'number' && minimum > Number.MIN_SAFE_INTEGER ? [`from ${minimum}`] : []),
    ...(typeof maximum === 'number' && maximum < Number.MAX_SAFE_INTEGER ? [`to ${maximum}`] : []),
    ...(typeof maxLength === 'number' ? [`at most ${maxLength} characters`] : []),
    ...(schema.default === undefined ? [] : [`default ${JSON.stringify(schema.default)}`]),
  ]
  return [format ?? [type ?? 'anything'].flat().join(' | '), ...bounds].join(', ')
}

const table = (rows: readonly (readonly string[])[], heads: readonly string[]): string =>
  `<div class="wide"><table><thead><tr>${heads.map((head) => `<th scope="col">${head}</th>`).join('')}</tr></thead><tbody>${rows
    .map((row) => `<tr>${row.map((one) => `<td>${one}</td>`).join('')}</tr>`)
    .join('')}</tbody></table></div>`

function curlOf(path: string, method: string, { security }: Operation, parameters: readonly Parameter[], sent: JsonSchema | undefined): string {
  const asked = parameters.filter(({ in: place, required, name }) => place === 'query' && (required || (name === 'tenant_id' && method !== 'get')))
  const query = asked.map(({ name }) => `${name}=${name === 'tenant_id' ? 't_…' : '…'}`).join('&')
  const parts = ['curl -sS']
  if (method !== 'get' && !(method === 'post' && sent)) parts.push(`-X ${method.toUpperCase()}`)
  if (security.length > 0) parts.push('-H "Authorization: Bearer $EARTHFLOW_KEY"')
  parts.push(`"$EARTHFLOW_URL${path}${query === '' ? '' : `?${query}`}"`)
  if (sent) parts.push(`-d '${JSON.stringify(exampleOf(sent)).replaceAll("'", `'\\''`)}'`)
  return parts.join(' \\\n  ')
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => entities[character])
