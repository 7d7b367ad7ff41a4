/** Logs of random shape: several writers and tenants, checkpoints now and then, rows that were superseded, erased and pruned, chains that are closed or not. */
import { createHmac } from 'node:crypto'
import type { ChainWriter } from '../../src/audit/chain/writer.ts'
import { type ChainedEntry, contentOf } from '../../src/audit/leaf.ts'
import { createLogBuilder, type LogBuilder, type SigningKey } from './build-log.ts'
import { below, change, pick, type Random, randomExchange } from './random-entries.ts'

export interface RandomLogOptions {
  random: Random
  /** About so many rows. */
  rows: number
  writers?: number
  tenants?: number
  rowsPerBatch?: number
  key?: SigningKey
  origin?: string
  /** Rows without a place are sealed with it. */
  sealKey?: Buffer
}

export function buildRandomLog({ random, rows, writers = 4, tenants = 3, rowsPerBatch = 12, sealKey, ...options }: RandomLogOptions): LogBuilder {
  const builder = createLogBuilder(options)
  const { log } = builder
  const tenantIds = Array.from({ length: tenants }, (_, i) => `ten_${i}`)
  const open: ChainWriter[] = Array.from({ length: Math.max(1, writers) }, () => builder.openWriter())
  const started = new Set<ChainWriter>()
  while (log.rows.length < rows) {
    builder.passTime(below(random, 2_000))
    const writer = pick(random, open)
    started.add(writer)
    builder.write(
      writer,
      Array.from({ length: 1 + below(random, rowsPerBatch) }, () => entry(builder.now)),
    )
    const what = random()
    if (what < 0.05) builder.prune(some(isPrunable), pick(random, [...started]))
    else if (what < 0.1) erase()
    else if (what < 0.2) supersede()
    else if (what < 0.3) builder.checkpoint()
    else if (what < 0.32 && open.length > 1) end(open.splice(open.indexOf(writer), 1)[0]!)
  }
  builder.checkpoint()
  // Some leaves are under no checkpoint yet, and some rows have no place.
  if (random() < 0.5) builder.write(pick(random, open), [entry(builder.now)])
  if (sealKey && random() < 0.5) {
    const waiting = change('key.create', tenantIds[0]!, { actor: 'key', subject: 'key_1' }, builder.now)
    log.unplaced.push({ entry: waiting, seal: createHmac('sha256', sealKey).update(contentOf(waiting)).digest('base64url') })
  }
  return builder

  function entry(at: number) {
    const tenantId = pick(random, tenantIds)
    if (random() < 0.1) return change('rule.update', random() < 0.3 ? null : tenantId, { actor: 'key', subject: 'rul_1', changed: ['name'] }, at)
    const exchange = randomExchange(random, tenantId, at - below(random, 60_000))
    return random() < 0.05 ? { ...exchange, outcome: 'unknown' as const, http_status: null } : exchange
  }

  function some(fits: (row: ChainedEntry) => boolean): ChainedEntry[] {
    return log.rows.slice(0, Math.floor(log.rows.length / 2)).filter((row) => fits(row) && random() < 0.1)
  }

  function erase(): void {
    const tenantId = pick(random, tenantIds)
    const rows = some((row) => row.kind === 'exchange' && row.salt !== null && row.tenant_id === tenantId)
    if (rows.length > 0) builder.erase(rows, pick(random, [...started]))
  }

  function supersede(): void {
    const row = log.rows.find(({ kind, outcome, salt }) => kind === 'exchange' && outcome === 'unknown' && salt !== null)
    if (row) builder.supersede(row, pick(random, [...started]))
  }

  function end(writer: ChainWriter): void {
    if (!started.delete(writer)) return
    if (random() < 0.5 || started.size === 0) builder.close(writer)
    else builder.closeSilent(writer, pick(random, [...started]))
  }
}

/** A row of a superseded exchange is pruned with what it superseded: that is left out here. */
const isPrunable = ({ kind, reason, outcome, http_status }: ChainedEntry): boolean =>
  kind === 'exchange'
    ? !(outcome === 'completed' && http_status === 200) && outcome !== 'unknown'
    : kind === 'change' && !['audit.prune', 'audit.erase'].includes(reason ?? '')
