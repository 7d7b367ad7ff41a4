import { z } from 'zod'
import { completeLog } from '../audit/chain/complete-log.ts'
import { createProofs, newestCheckpoint } from '../audit/chain/proofs.ts'
import { csvHead, csvLine } from '../audit/csv.ts'
import { type AuditFilter, eachPage, eachPageOfRows } from '../audit/query.ts'
import { toEntry } from '../audit/row.ts'
import type { Db } from '../db/connect.ts'
import { Refusal } from '../errors.ts'
import { filters, toFilter } from './audit.ts'
import type { AdminParts } from './parts.ts'
import { type Route, reachOf, textRoute } from './route.ts'
import { flag } from './shapes.ts'

/** Entries that an export holds at once. */
const EXPORT_PAGE = 500

const contentTypes = { jsonl: 'application/x-ndjson', csv: 'text/csv; charset=utf-8; header=present' } as const

export function auditExportRoutes({ db, database, logKey, now }: AdminParts): Route[] {
  return [
    textRoute({
      path: '/v1/audit/export',
      scope: 'audit:read',
      tenant: 'optional',
      summary:
        'The same entries as a file, newest first: jsonl (one entry a line, with its proof as chain unless proofs=false) or csv, in which no cell is a formula. complete=true (the administrator, without a filter) is all that `earthflow audit verify` needs of the whole log. It ends early only with a cut connection.',
      query: z.strictObject({ format: z.enum(['jsonl', 'csv']).default('jsonl'), proofs: flag.optional(), complete: flag.optional(), ...filters }),
      media: ['application/x-ndjson', 'text/csv'],
      async run({ tenantId, actor, query: { format, proofs = true, complete = false, ...rest } }) {
        const filter = toFilter(rest)
        if (complete && reachOf(actor) !== null) throw new Refusal('forbidden', 'The complete log is for the administrator.')
        if (complete && (format !== 'jsonl' || tenantId !== null || narrows(filter)))
          throw new Refusal('invalid_request', 'complete: The complete log is jsonl, of all tenants and without a filter.', { context: { field: 'complete' } })
        const text = complete
          ? completeLog(database, (await logKey()).origin)
          : format === 'csv'
            ? csvLines(db, tenantId, filter)
            : jsonLines(db, tenantId, filter, proofs)
        const name = `audit-${new Date(now()).toISOString().slice(0, 10)}.${format}`
        return { contentType: contentTypes[format], headers: { 'content-disposition': `attachment; filename="${name}"` }, text }
      },
    }),
  ]
}

/** Every entry has a kind; the filter names the usual one unless it was told otherwise. */
const narrows = ({ kind, ...rest }: AuditFilter): boolean => (kind !== 'exchange' && kind !== 'all') || Object.values(rest).some((value) => value !== undefined)

async function* csvLines(db: Db, tenantId: string | null, filter: AuditFilter): AsyncGenerator<string> {
  yield csvHead
  for await (const entries of eachPage(db, tenantId, filter, EXPORT_PAGE)) yield entries.map(csvLine).join('')
}

/** The proofs are for the tree as it was when the export began. */
async function* jsonLines(db: Db, tenantId: string | null, filter: AuditFilter, proofs: boolean): AsyncGenerator<string> {
  const prove = proofs ? createProofs(db, (await newestCheckpoint(db))?.treeSize ?? 0) : null
  for await (const rows of eachPageOfRows(db, tenantId, filter, EXPORT_PAGE)) {
    const chains = await prove?.(rows)
    yield rows.map((row, i) => `${JSON.stringify({ ...toEntry(row), ...(chains && { chain: chains[i] }) })}\n`).join('')
  }
}
