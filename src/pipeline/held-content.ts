import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { ModelCall, TextSlot } from '../call.ts'
import { pathIn } from '../dialects/bodies/read-call.ts'
import type { Finding, Verdict } from '../rules/policy.ts'
import type { Action } from '../rules/rule.ts'
import { slotAt } from '../rules/search/search.ts'
import { queryOf } from '../upstreams/send.ts'
import { headersOfCall, pathAsked } from './call-hash.ts'
import { metadataOf, userOf } from './metadata.ts'

/** Texts of the body that are shown one by one; where there are more, those in which something was found come first. The body shows them all. */
const TEXTS_MAX = 200
/** What rules found in one text, and in all that are shown. */
const SPANS_PER_TEXT_MAX = 100
const SPANS_MAX = 2_000

/** Texts that no body shows. */
const BESIDE_BODY = new Set(['path', 'query', 'header'])

interface Found {
  start: number
  end: number
  rule_id: string
  rule_name: string
  action: Action
}

/**
 * What a person is shown who decides about a call, as JSON: where it goes, all that travels with it, its texts and what rules found in them, and the body as
 * it came, which is how an approved call is sent. The time it takes is in proportion to the body and to what was found.
 */
export function heldContent(incoming: IncomingMessage, call: ModelCall, verdict: Verdict): string {
  const { slots, body, models } = call
  const findings = enforcedFirst(verdict)
  const counts = countsOf(slots, findings)
  const { shown, leftOut } = chosen(slots, counts)
  const spans = spansOf(slots, findings, shown)
  const pathOf = pathIn(call)
  const isText = isUtf8(body)
  return JSON.stringify({
    method: incoming.method,
    path: pathAsked(incoming),
    query: queryOf(incoming.url),
    headers: headersOfCall(incoming).map(([name, value]) => ({ name, value })),
    content_type: call.contentType,
    models,
    user: userOf(call, incoming),
    metadata: metadataOf(call, incoming),
    rules: findings.map(({ rule: { id, name, action }, spans }) => ({ id, name, action, count: spans.length })),
    texts: Array.from(spans, ([i, own]) => ({
      role: slots[i].role,
      where: slots[i].place ?? pathOf(slots[i].start),
      text: call.text.toString('utf8', slots[i].from, slots[i].to),
      spans: inUnits(call.text, slots[i], own),
      spans_left_out: counts[i] - own.length,
    })),
    texts_left_out: leftOut,
    opaque_bytes: call.opaqueBytes,
    sealed_bytes: call.sealedBytes,
    sent_as_is: true,
    body: body.toString(isText ? 'utf8' : 'base64'),
    body_encoding: isText ? 'utf-8' : 'base64',
  })
}

/** Those for which the call is held come first: what other rules find takes no room from them. */
function enforcedFirst({ findings, action }: Verdict): Finding[] {
  const enforced = findings.filter(({ mode }) => mode === 'enforce')
  return [...enforced.filter(({ rule }) => rule.action === action), ...enforced.filter(({ rule }) => rule.action !== action)]
}

type Visit = (slot: number, start: number, end: number, rule: Finding['rule']) => void

/** What was found, by text, in bytes of the flat text; what goes over the end of one is in the next as well. */
function visitAll(slots: readonly TextSlot[], findings: readonly Finding[], visit: Visit): void {
  for (const { rule, spans } of findings)
    for (const { start, end } of spans)
      for (let i = slotAt(slots, start); i < slots.length && slots[i].from < end; i++)
        visit(i, Math.max(start, slots[i].from), Math.min(end, slots[i].to), rule)
}

function countsOf(slots: readonly TextSlot[], findings: readonly Finding[]): Uint32Array {
  const counts = new Uint32Array(slots.length)
  visitAll(slots, findings, (i) => counts[i]++)
  return counts
}

/** Which texts are shown, in their order, and how many are not. */
function chosen(slots: readonly TextSlot[], counts: Uint32Array): { shown: number[]; leftOut: number } {
  const beside: number[] = []
  const hit: number[] = []
  const other: number[] = []
  for (let i = 0; i < slots.length; i++) {
    const { role, place } = slots[i]
    if (place !== undefined && BESIDE_BODY.has(place)) beside.push(i)
    else if (counts[i] > 0) hit.push(i)
    else if (role !== 'protocol') other.push(i)
  }
  const first = [...hit.slice(0, TEXTS_MAX), ...other.slice(0, TEXTS_MAX)].slice(0, TEXTS_MAX)
  return { shown: [...beside, ...first].sort((a, b) => a - b), leftOut: hit.length + other.length - first.length }
}

function spansOf(slots: readonly TextSlot[], findings: readonly Finding[], shown: readonly number[]): Map<number, Found[]> {
  const found = new Map(shown.map((i) => [i, [] as Found[]]))
  let all = 0
  visitAll(slots, findings, (i, start, end, rule) => {
    const own = found.get(i)
    if (own === undefined || own.length === SPANS_PER_TEXT_MAX || all === SPANS_MAX) return
    own.push({ start, end, rule_id: rule.id, rule_name: rule.name, action: rule.action })
    all++
  })
  return found
}

/** In UTF-16 code units of the text, as a page counts them. */
function inUnits(text: Buffer, { from }: TextSlot, found: readonly Found[]): Found[] {
  const units = new Map<number, number>()
  let read = from
  let count = 0
  for (const at of [...new Set(found.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b)) {
    count += text.toString('utf8', read, at).length
    units.set(at, count)
    read = at
  }
  return found.map(({ start, end, ...rule }) => ({ start: units.get(start) ?? 0, end: units.get(end) ?? 0, ...rule }))
}
