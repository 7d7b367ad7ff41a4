/** The tree's tiles in the database. */
import type { Db, Tx } from '../../db/connect.ts'
import { and, eq, sql } from '../../db/drizzle.ts'
import { auditTiles } from '../../db/schema.ts'
import type { TileStore } from './tree.ts'

export const tileStore = (db: Db | Tx): TileStore => ({
  read(ids) {
    if (ids.length === 0) return Promise.resolve([])
    const wanted = sql`jsonb_to_recordset(${JSON.stringify(ids.map(({ level, index }) => ({ level, index })))}::text::jsonb) as wanted(level integer, index bigint)`
    return db
      .select({ level: auditTiles.level, index: auditTiles.index, hashes: auditTiles.hashes })
      .from(auditTiles)
      .innerJoin(wanted, and(eq(auditTiles.level, sql`wanted.level`), eq(auditTiles.index, sql`wanted.index`)))
  },
  async write(tiles) {
    if (tiles.length === 0) return
    await db
      .insert(auditTiles)
      .values([...tiles])
      .onConflictDoUpdate({ target: [auditTiles.level, auditTiles.index], set: { hashes: sql`excluded.hashes` } })
  },
})
