/** A line of a v1 log → the audit entry it becomes. No text of a prompt comes out of here but as bytes to be hashed. */
import { isUtf8 } from 'node:buffer'
import type { AuditEntry, Status } from '../audit/entry.ts'
import type { LineIds } from './line-ids.ts'
import { readDuration, readMoment } from './read-values.ts'
import { kept, storable, TooDeep } from './unknown-fields.ts'

/** The fields of version 1, and where they go. `scripts/README.md` is compared with this table by a test. */
export const fields = {
  ts: { to: 'timestamp', about: 'ISO 8601 (UTC where no zone is said), or seconds or milliseconds since 1970' },
  action: { to: 'status', about: 'ALLOW, WARN, REDACT, ESCALATE or BLOCK, in any case' },
  rule: { to: 'rules_triggered', about: 'one, or a list; as version 1 named them' },
  prompt: { to: 'prompt_hash', about: 'hashed as AUDIT_HASH_PROMPTS and AUDIT_HASH_MODE say, and dropped' },
  tenant: { to: 'tenant_id', about: 'as it is, or as --tenant-map says; with --import the id of a tenant of this installation that has this id or name' },
  model: { to: 'model', about: '' },
  user_id: { to: 'user_id', about: '' },
  session_id: { to: 'metadata.session_id', about: '' },
  latency: { to: 'latency_ms', about: 'a number of milliseconds, or text with a unit (us, ms, s)' },
} as const satisfies Record<string, { to: string; about: string }>

export interface Converted {
  entry: AuditEntry
  prompt: string | null
}

export interface LineReaderOptions {
  idsOf: (line: Uint8Array, at: number, number: number) => LineIds
  /** Milliseconds since 1970. */
  now: number
}

/** No log of calls to a model is older: an earlier time is a number in another unit. */
const AT_LEAST = Date.UTC(2000, 0, 1)
/** A clock may be wrong by this much; and the database has partitions for the time until then. */
const AHEAD_MS_MAX = 86_400_000

const statuses: readonly string[] = ['ALLOW', 'WARN', 'REDACT', 'ESCALATE', 'BLOCK'] satisfies Status[]
/** Version 1 does not say what came of a call that went on. */
const outcomeOf = (status: string): AuditEntry['outcome'] => (status === 'BLOCK' || status === 'ESCALATE' ? 'refused' : 'unknown')

/** The line without its end: null where there is nothing in it. */
export function contentOf(bytes: Buffer): Buffer | null {
  const end = bytes.length - (bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? 2 : 1) : 0)
  // A byte order mark stands before the first line, and within files that were put together of several.
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
  for (let i = start; i < end; i++) if (bytes[i] > 0x20) return bytes.subarray(start, end)
  return null
}

/** Reads lines, given without their end. What is no entry is answered with a sentence that says why, and quotes nothing. */
export function createLineReader({ idsOf, now }: LineReaderOptions): (line: Buffer, number: number) => Converted | string {
  return (line, number) => {
    if (!isUtf8(line)) return 'it is not UTF-8'
    const v1 = parse(line.toString())
    if (typeof v1 === 'string') return v1
    const at = readMoment(v1.ts)
    if (at === null) return v1.ts === undefined ? 'it has no ts' : 'its ts is no moment: ISO 8601, or seconds or milliseconds since 1970'
    if (at < AT_LEAST) return 'its ts is before the year 2000'
    if (at > now + AHEAD_MS_MAX) return 'its ts is in the future'
    const status = typeof v1.action === 'string' ? v1.action.trim().toUpperCase() : ''
    if (!statuses.includes(status)) return v1.action === undefined ? 'it has no action' : `its action is none of ${statuses.join(', ')}`
    const { prompt = null } = v1
    if (prompt !== null && typeof prompt !== 'string') return 'its prompt is not text'
    const tenant = wordOf(v1.tenant)
    if (tenant === undefined) return 'its tenant is no name'
    try {
      return { entry: entryOf(v1, { ...idsOf(line, at, number), at, status: status as Status, tenant, prompt }), prompt }
    } catch (error) {
      if (error instanceof TooDeep) return error.message
      throw error
    }
  }
}

interface Known extends LineIds {
  at: number
  status: Status
  tenant: string | null
  prompt: string | null
}

function entryOf(v1: Fields, { at, status, tenant, prompt, audit_id, request_id }: Known): AuditEntry {
  /** Fields whose value is not of the kind that version 2 has there: they are kept like those that it does not have. */
  const odd = new Set<string>()
  const word = (name: keyof typeof fields): string | null => {
    const found = wordOf(v1[name])
    if (found === undefined) odd.add(name)
    return found ?? null
  }
  const rules = [v1.rule].flat().map(wordOf)
  if (rules.includes(undefined)) odd.add('rule')
  const latency = readDuration(v1.latency)
  if (latency === null && v1.latency !== undefined && v1.latency !== null) odd.add('latency')
  const session = word('session_id')
  const model = word('model')
  const user = word('user_id')
  const others = Object.fromEntries(Object.entries(v1).filter(([name]) => !Object.hasOwn(fields, name) || odd.has(name)))
  return {
    audit_id,
    timestamp: new Date(at).toISOString(),
    kind: 'exchange',
    tenant_id: tenant,
    request_id,
    agent_id: null,
    key_prefix: null,
    user_id: user,
    status,
    outcome: outcomeOf(status),
    reason: null,
    dialect: null,
    endpoint: null,
    model,
    upstream: null,
    attempts: [],
    stream: false,
    rules_evaluated: 0,
    rules_triggered: odd.has('rule') ? [] : rules.filter((rule) => typeof rule === 'string'),
    findings: [],
    policy_version: null,
    metadata: {
      migrated_from_version: 1,
      ...(session === null ? {} : { session_id: session }),
      ...Object.fromEntries(Object.entries(kept(others, prompt)).map(([name, value]) => [`v1_${name}`, value])),
    },
    prompt_hash: null,
    forwarded_hash: null,
    uninspected_bytes: 0,
    degraded: null,
    usage: null,
    cost_usd: null,
    budgets: [],
    latency_ms: latency,
    upstream_ms: null,
    first_byte_ms: null,
    overhead_ms: null,
    http_status: null,
    escalation_id: null,
    approved_by: null,
    held_audit_id: null,
  }
}

/** A name or an id. Null where there is none, undefined where it is something else. */
function wordOf(value: unknown): string | null | undefined {
  if (value === undefined || value === null || value === '') return null
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' ? storable(value) : undefined
}

type Fields = Readonly<Record<string, unknown>>

/** The fields of a line; a sentence where it has none. */
function parse(text: string): Fields | string {
  try {
    const value: unknown = isPrecise(text) ? JSON.parse(text) : JSON.parse(text, asWritten as Parameters<typeof JSON.parse>[1])
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : 'it is JSON, but no object'
  } catch (error) {
    return error instanceof RangeError ? new TooDeep().message : 'it is not JSON'
  }
}

/** Whether no number can be larger than a JavaScript number says exactly. */
const isPrecise = (text: string): boolean => !/\d{16}|[eE]\+?\d\d/.test(text)
/** Ids are often numbers of 64 bits. Those that would be rounded stay what they are, as text. */
const asWritten = (_name: string, value: unknown, { source }: { source: string }): unknown =>
  typeof value === 'number' && !(Math.abs(value) <= Number.MAX_SAFE_INTEGER) ? source : value
