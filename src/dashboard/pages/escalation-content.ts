/** What a held call says, with what rules found in it. */
import { type Content as Html, html } from '../html.ts'
import type { Visit } from '../page.ts'
import { heading } from '../parts/controls.ts'
import { action, badge, code, exact } from '../parts/figures.ts'
import { facts, table } from '../parts/table.ts'
import { decision, type Escalation, whatIsKnown } from './escalations-view.ts'

interface Span {
  start: number
  end: number
  rule_id: string
  rule_name: string
  action: string
}

export interface Content {
  method: string
  path: string
  query: string
  headers: { name: string; value: string }[]
  content_type: string
  models: string[]
  user: string | null
  metadata: Record<string, string | number | boolean>
  rules: { id: string; name: string; action: string; count: number }[]
  texts: { role: string; where: string; text: string; spans: Span[]; spans_left_out: number }[]
  texts_left_out: number
  opaque_bytes: number
  sealed_bytes: number
  body: string
  body_encoding: 'utf-8' | 'base64'
}

/** Of the body as it will be sent; what is longer the API has. */
const BODY_CHARACTERS_MAX = 100_000
/** What nobody sees, or what turns the reading round (Unicode's categories Cc and Cf, and its own line ends): all but line breaks and tabs. */
const INVISIBLE = /(?![\n\t])[\p{Cc}\p{Cf}\u2028\u2029]/gu

export const contentPage = (visit: Visit, one: Escalation, content: Content): Html =>
  html`<p class="quiet">That you read this is recorded in the audit log.</p>
    ${heading('What rules found')}
    ${table({
      caption: 'Rules that hold for the call',
      columns: [{ label: 'Rule' }, { label: 'Action' }, { label: 'Found', isNumber: true }],
      rows: content.rules.map((rule) => [
        html`<a href="${visit.link(`/rules/${rule.id}`)}">${rule.name}</a>`,
        action(rule.action),
        rule.count === 0 ? 'who and where' : exact(rule.count),
      ]),
      empty: html`<p class="quiet">None of them holds any more.</p>`,
    })}
    ${heading('What it says')}
    <ol class="said">${content.texts.map(saidPart)}</ol>
    ${content.texts_left_out > 0 ? html`<p>${exact(content.texts_left_out)} more texts, in which nothing was found, are left out here. They are in the body below.</p>` : null}
    ${content.opaque_bytes > 0 ? html`<p>${exact(content.opaque_bytes)} bytes are media or other data that hold no text.</p>` : null}
    ${content.sealed_bytes > 0 ? html`<p>${exact(content.sealed_bytes)} bytes are encrypted for the provider, and nobody else can read them.</p>` : null}
    ${decision(visit, one)}
    ${heading('How it will be sent')}
    ${facts([
      ['Call', html`${content.method} <code>${content.path}${content.query}</code>`],
      ['Models', content.models.join(', ') || null],
      ['User', content.user],
      ['Content type', content.content_type],
      ...Object.entries(content.metadata).map(([name, value]): [string, Html] => [`Metadata: ${name}`, String(value)]),
      ...content.headers.map(({ name, value }): [string, Html] => [name, code(value)]),
    ])}
    <details class="fold"><summary>The body, as it is</summary>${body(content)}</details>
    ${heading('What is known of it')}
    ${whatIsKnown(visit, one)}`

const saidPart = ({ role, where, text, spans, spans_left_out: leftOut }: Content['texts'][number]): Html =>
  html`<li><p class="said-by">${badge(role)} <span class="quiet">${where}</span></p>
    <div class="text" dir="auto">${marked(text, spans)}</div>
    ${spans.length === 0 ? null : html`<p class="said-of quiet">Marked: ${[...new Set(spans.map((span) => `${span.rule_name} (${span.action})`))].join(', ')}${leftOut > 0 ? `, and ${leftOut} more places` : ''}.</p>`}</li>`

/** Places may overlap: each piece between two of their ends is marked with all that hold there. */
function marked(text: string, spans: readonly Span[]): Html[] {
  const ends = [...new Set([0, text.length, ...spans.flatMap(({ start, end }) => [start, end])])]
    .filter((at) => at >= 0 && at <= text.length)
    .sort((a, b) => a - b)
  return ends.slice(0, -1).map((start, i) => {
    const piece = text.slice(start, ends[i + 1])
    const names = [...new Set(spans.filter((span) => span.start <= start && start < span.end).map((span) => `${span.rule_name} (${span.action})`))]
    return names.length === 0 ? legible(piece) : html`<mark title="${names.join(', ')}">${legible(piece)}</mark>`
  })
}

/** What cannot be seen is shown by its code point: a decision is about what is there. */
const legible = (text: string): string =>
  text.replaceAll('\r\n', '\n').replace(INVISIBLE, (unseen) => `⟦U+${(unseen.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟧`)

function body({ body: text, body_encoding: encoding }: Content): Html {
  const rest = text.length - BODY_CHARACTERS_MAX
  return html`${encoding === 'base64' ? html`<p class="quiet">It is no text: these are its bytes, as base64.</p>` : null}
    <pre class="text" tabindex="0">${legible(text.slice(0, BODY_CHARACTERS_MAX))}</pre>
    ${rest > 0 ? html`<p class="quiet">${exact(rest)} more characters: <code>GET /v1/escalations/{id}/content</code> has all of it.</p>` : null}`
}
