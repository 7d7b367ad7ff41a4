/** `earthflow audit export`: entries of the audit log as a file. */
import { z } from 'zod'
import type { StreamingApi } from './api.ts'
import type { Terminal } from './apply.ts'
import { EXIT } from './exits.ts'
import { createNewFile } from './new-file.ts'
import { createProgress, type Screen } from './progress.ts'
import { flag, readArguments, refuseWords, runVerb, tenantId, text } from './run-verb.ts'
import { BadUsage } from './told.ts'

export const AUDIT_EXPORT_USAGE = `earthflow audit export [--output FILE] [--format jsonl|csv] [--from TIME] [--to TIME] [--status S] [--kind K] [--tenant-id ID] [--no-proofs]
earthflow audit export --complete --output FILE

  --output FILE     where it goes: a new file, readable by you alone, that appears whole or not at all; standard output unless said
  --format F        jsonl, one entry a line with its proof, or csv, in which no cell is a formula; jsonl unless said
  --from TIME       no earlier ones; a day (2026-11-30) or a time (2026-11-30T18:00:00Z)
  --to TIME         only earlier ones
  --status S        ALLOW, WARN, REDACT, ESCALATE, BLOCK or REJECTED alone
  --kind K          exchange (unless said), change, chain or all
  --tenant-id ID    of this tenant; a tenant's key means its own, and the administrator's all
  --no-proofs       leaves the proofs out of jsonl
  --complete        the whole log, as \`earthflow audit verify --file\` reads it; for the administrator

It asks a running Earthflow: EARTHFLOW_URL, EARTHFLOW_ADMIN_API_KEY or EARTHFLOW_API_KEY.
`

export interface AuditExportParts {
  api(): StreamingApi
  screen: Screen
  /** Standard output; resolves when it takes more. */
  print(bytes: Uint8Array): Promise<void>
}

const LINE_FEED = 0x0a
const counted = z.looseObject({ total: z.number() })
const options = {
  output: text,
  format: text,
  from: text,
  to: text,
  status: text,
  kind: text,
  'tenant-id': text,
  'no-proofs': flag,
  complete: flag,
} as const

/** `args`: what follows `audit export`. Returns the exit code. */
export function exportAudit(args: readonly string[], terminal: Terminal, parts: AuditExportParts): Promise<number> {
  return runVerb({ usage: AUDIT_EXPORT_USAGE, terminal }, async () => {
    const { values, words } = readArguments(args, options)
    refuseWords(words)
    const { output, format = 'jsonl', from, to, status, kind, complete: isComplete = false } = values
    if (format !== 'jsonl' && format !== 'csv') throw new BadUsage('--format must be jsonl or csv.')
    const tenant = values['tenant-id'] === undefined ? undefined : tenantId(values['tenant-id'])
    const filters = Object.entries({ from, to, status, kind }).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
    if (isComplete && (filters.length > 0 || tenant !== undefined || format === 'csv'))
      throw new BadUsage('--complete is all of it, as jsonl: leave filters, tenant and format out.')
    const asked = [...filters, ['format', format], ...(isComplete ? [['complete', 'true']] : values['no-proofs'] ? [['proofs', 'false']] : [])]
    const api = parts.api()
    const count = counted.safeParse(isComplete ? null : await api.ask('GET', `/v1/audit?${new URLSearchParams([...filters, ['limit', '1']])}`, { tenant }))
    await copy(await api.stream(`/v1/audit/export?${new URLSearchParams(asked)}`, { tenant }), output, count.success ? count.data.total : null)
    return EXIT.done
  })

  async function copy(source: AsyncIterable<Buffer>, output: string | undefined, total: number | null): Promise<void> {
    const progress = createProgress(parts.screen)
    const file = output === undefined ? null : await createNewFile(output)
    let lines = 0
    try {
      for await (const bytes of source) {
        for (let at = bytes.indexOf(LINE_FEED); at !== -1; at = bytes.indexOf(LINE_FEED, at + 1)) lines++
        if (file) progress.show(`${lines} entries`, lines, total)
        await (file ? file.write(bytes) : parts.print(bytes))
      }
      await file?.publish()
      progress.clear()
      if (file) terminal.error(`${lines} lines in ${output}\n`)
    } finally {
      progress.clear()
      await file?.discard()
    }
  }
}
