/** Gives a tenant the rules of a preset. */
import type { Tx } from '../db/connect.ts'
import { rulesOf } from './presets.ts'
import { type RuleWriter, writeRules } from './store.ts'

export interface Applied {
  applied: number
  skipped: number
}

/**
 * `replace` removes every rule the tenant has first; an older version brings them back. `merge` adds those rules of the preset that the tenant does not
 * have from it under the same name, changed or not.
 */
export async function applyPreset(write: RuleWriter, preset: string, mode: 'replace' | 'merge'): Promise<Applied> {
  const wanted = rulesOf(preset)
  const present = await write.all()
  if (mode === 'replace') await write.remove(present.map(({ id }) => id))
  const kept = new Set(mode === 'replace' ? [] : present.filter((row) => row.preset === preset).map(({ name }) => name))
  const fresh = wanted.filter(({ name }) => !kept.has(name))
  await write.insert(fresh)
  return { applied: fresh.length, skipped: wanted.length - fresh.length }
}

/** Takes the rules of one preset away and gives those of another; rules that came from neither stay. Null is no preset. */
export async function swapPreset(
  tx: Tx,
  tenantId: string,
  { from, to }: { from: string | null; to: string | null },
  author: { createdBy: string; at: Date },
): Promise<void> {
  await writeRules(tx, tenantId, author, async (write) => {
    const old = (await write.all()).filter(({ preset }) => preset !== null && preset === from)
    await write.remove(old.map(({ id }) => id))
    if (to !== null) await applyPreset(write, to, 'merge')
  })
}
