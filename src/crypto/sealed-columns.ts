/** Every column that holds sealed values. A secret in one that is not listed here would not survive a rotation of data keys. */
import type { ChangeKind } from '../db/changes.ts'

export interface SealedColumn {
  /** It has the columns `id` and `tenant_id`. */
  table: string
  column: string
  /** What processes must read again when values of it change. */
  changes: ChangeKind
}

export const upstreamCredential: SealedColumn = { table: 'upstreams', column: 'credential', changes: 'upstreams' }

export const webhookSecret: SealedColumn = { table: 'webhooks', column: 'secret', changes: 'webhooks' }
export const webhookPreviousSecret: SealedColumn = { table: 'webhooks', column: 'previous_secret', changes: 'webhooks' }

export const sealedColumns: readonly SealedColumn[] = [upstreamCredential, webhookSecret, webhookPreviousSecret]

/** The place a value of it is sealed for. */
export const placeIn = ({ table, column }: Pick<SealedColumn, 'table' | 'column'>, id: string): string => `${table}.${column}.${id}`
