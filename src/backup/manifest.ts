/** What an archive says of itself. */
import { z } from 'zod'
import { Told } from '../cli/told.ts'

const FORMAT = 'earthflow-backup/1'
export const MANIFEST = 'manifest.json'
export const MANIFEST_HASH = 'manifest.sha256'

const hash = z.string().regex(/^[0-9a-f]{64}$/)
const counted = z.record(z.string(), z.number().int().nonnegative())

const manifest = z.object({
  format: z.literal(FORMAT),
  /** Of the program that made it. */
  version: z.string(),
  /** When it was begun: whatever was acknowledged before is in it. */
  created_at: z.iso.datetime(),
  engine: z.enum(['postgres', 'pglite']),
  server_version: z.string(),
  /** The newest migration of the database, as drizzle-kit numbers them. */
  migration: z.number(),
  /** The name of the audit log. */
  origin: z.string(),
  /** Fingerprints of the master keys, each of which alone opens what is encrypted. Never the keys. */
  master_keys: z.array(z.string()),
  /** Rows that are in it, by table. */
  counts: counted,
  files: z.array(z.object({ name: z.string(), bytes: z.number().int().nonnegative(), sha256: hash })),
})

export type Manifest = z.output<typeof manifest>

export const writeManifest = (facts: Omit<Manifest, 'format'>): string => `${JSON.stringify({ format: FORMAT, ...facts }, null, 2)}\n`

/** Throws Told. */
export function readManifest(text: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Told(`The archive is damaged: its ${MANIFEST} is no JSON.`)
  }
  const format = (value as { format?: unknown } | null)?.format
  if (typeof format === 'string' && format !== FORMAT)
    throw new Told(`The archive is of the format ${JSON.stringify(format)}, which this version does not know: use the version that made it, or a newer one.`)
  const read = manifest.safeParse(value)
  if (read.success) return read.data
  throw new Told(`The archive is damaged: its ${MANIFEST} lacks ${read.error.issues[0].path.join('.') || 'everything'}.`)
}
