/** What somebody may do to a log who may write into its database, each with what the verifier must say of it. */
import { hash } from 'node:crypto'
import type { SQL } from 'drizzle-orm'
import type { ChainedEntry } from '../../src/audit/leaf.ts'
import type { Tx } from '../../src/db/connect.ts'
import { sql } from '../../src/db/drizzle.ts'
import { newId } from '../../src/ids.ts'
import type { Finding } from '../../src/verify/findings.ts'
import type { OutsideNote } from '../../src/verify/verify-log.ts'
import type { BuiltLog } from './build-log.ts'
import { entryColumns, insertBatches, insertRows } from './insert-log.ts'
import { below, pick, type Random } from './random-entries.ts'
import { rechain } from './rechain.ts'

export interface Tampering {
  tx: Tx
  /** What the database holds, and is not changed here. */
  log: BuiltLog
  random: Random
}

export interface Tampered {
  /** For whoever reads of one that was missed. */
  what: string
  /** Checkpoints that the one who tampers could not reach, where only they can tell. */
  outside?: OutsideNote[]
  /** Whether a finding names the right place. */
  isNamed(finding: Finding): boolean
}

type Tamper = (tampering: Tampering) => Promise<Tampered>
type Place = Pick<ChainedEntry, 'writer_id' | 'seq'>

const at =
  (...places: readonly Place[]) =>
  (finding: Finding): boolean =>
    places.some(({ writer_id, seq }) => finding.writer_id === writer_id && finding.seq === seq)
const nameOf = ({ writer_id, seq }: Place): string => `${writer_id} ${seq}`
const isRow = ({ audit_id }: { audit_id: string }): SQL => sql`audit_id = ${audit_id}`
const isPlace = ({ writer_id, seq }: Place): SQL => sql`writer_id = ${writer_id} and seq = ${seq}`
const leavesIn = ({ leaves }: { leaves: Buffer }): number => leaves.length / 32
const batchOf = (log: BuiltLog, { writer_id, seq }: Place) =>
  log.batches.find((batch) => batch.writer_id === writer_id && batch.first_seq <= seq && seq < batch.first_seq + leavesIn(batch))!
const newest = (log: BuiltLog): OutsideNote[] => [{ note: log.checkpoints.at(-1)!.note, source: 'kept elsewhere' }]

/** Another value for a column of a type. */
const others: Readonly<Record<string, string>> = {
  text: `coalesce(%, '') || 'x'`,
  timestamptz: `% + interval '1 millisecond'`,
  jsonb: `case jsonb_typeof(%) when 'array' then % || '["x"]' when 'object' then % || '{"x": 1}' else '{"y": 2}' end`,
  boolean: `not coalesce(%, false)`,
  integer: `coalesce(%, 0) + 1`,
  bigint: `coalesce(%, 0) + 1`,
  numeric: `coalesce(%, 0) + 0.000000001`,
}
const tamperedColumns: Readonly<Record<string, string>> = {
  ...entryColumns,
  tenant_prev: 'bigint',
  salt: 'text',
  payload_hash: 'text',
  erased_by: 'text',
  seal: 'text',
  seq: 'bigint',
  writer_id: 'text',
}

/** By name: one of each kind is easily asked for. */
export const tampers: Readonly<Record<string, Tamper>> = {
  async 'a column of a row changed'({ tx, log, random }) {
    const row = pick(random, log.rows)
    const [name, type] = pick(random, Object.entries(tamperedColumns))
    const isNull = row[name as keyof ChainedEntry] === null || random() < 0.7 || ['audit_id', 'timestamp', 'kind', 'request_id', 'outcome'].includes(name)
    const isNullable = !isNull && !(type === 'boolean' || type === 'jsonb' || name === 'rules_evaluated' || name === 'uninspected_bytes')
    const value = isNullable ? 'null' : others[type]!.replaceAll('%', `"${name}"`)
    await tx.execute(sql`update audit_entries set ${sql.raw(`"${name}" = ${value}`)} where ${isRow(row)}`)
    return { what: `${name} of ${nameOf(row)}`, isNamed: at(row) }
  },
  async 'two rows swapped'({ tx, log, random }) {
    const one = pick(random, log.rows)
    const two = pick(
      random,
      log.rows.filter((row) => row !== one),
    )
    for (const [row, other] of [
      [one, two],
      [two, one],
    ] as const)
      await tx.execute(sql`update audit_entries set writer_id = ${other.writer_id}, seq = ${other.seq}, tenant_prev = ${other.tenant_prev}
        where ${isRow(row)}`)
    return { what: `${nameOf(one)} and ${nameOf(two)}`, isNamed: at(one, two) }
  },
  async 'rows deleted'({ tx, log, random }) {
    const first = pick(random, log.rows)
    const count = 1 + below(random, 5)
    await tx.execute(sql`delete from audit_entries where writer_id = ${first.writer_id} and seq between ${first.seq} and ${first.seq + count - 1}`)
    return {
      what: `${count} from ${nameOf(first)}`,
      isNamed: ({ writer_id, seq }) => writer_id === first.writer_id && seq! <= first.seq && seq! > first.seq - 1_000,
    }
  },
  async 'a row inserted'({ tx, log, random }) {
    const row = pick(random, log.rows)
    const audit_id = newId('aud')
    const way = pick(random, ['a place twice', 'a place behind the chain', 'a place in no chain', 'no place', 'no place, and a seal of its own'])
    const { writer_id, seq } = row
    const places: Readonly<Record<string, Place>> = {
      'a place behind the chain': { writer_id, seq: 1_000_000 },
      'a place in no chain': { writer_id: 'wr_none', seq },
    }
    const place = places[way] ?? { writer_id, seq }
    await insertRows(tx, [{ ...row, ...place, audit_id, timestamp: log.rows.at(-1)!.timestamp }])
    if (way.startsWith('no place')) {
      await tx.execute(sql`update audit_entries set writer_id = null, seq = null, tenant_prev = null, salt = null, payload_hash = null,
        seal = ${way === 'no place' ? null : hash('sha256', audit_id, 'base64url')} where ${isRow({ audit_id })}`)
      return { what: way, isNamed: (finding) => finding.audit_id === audit_id }
    }
    return { what: `${way}, ${nameOf(place)}`, isNamed: at(place) }
  },
  async 'the end cut off'({ tx, log, random }) {
    const { tree_size } = pick(random, log.checkpoints.slice(0, -1))
    const isThorough = random() < 0.5
    await cutOff(tx, sql`tree_index is null or tree_index >= ${tree_size}`)
    if (isThorough) await tx.execute(sql`delete from audit_checkpoints where tree_size > ${tree_size}`)
    return {
      what: `after ${tree_size} of the tree${isThorough ? ', and checkpoints' : ''}`,
      ...(isThorough ? { outside: newest(log) } : {}),
      isNamed: ({ problem }) => problem.includes(`leaves ${tree_size} to ${log.checkpoints.at(-1)!.tree_size - 1} of the tree are missing`),
    }
  },
  async 'the end of a chain cut off'({ tx, log, random }) {
    const batch = pick(
      random,
      log.batches.filter(({ tree_index }) => tree_index !== null),
    )
    const { writer_id, first_seq, tree_index } = batch
    await cutOff(tx, sql`writer_id = ${writer_id} and first_seq >= ${first_seq}`)
    return {
      what: nameOf({ writer_id, seq: first_seq }),
      isNamed: ({ problem, writer_id: named, seq }) => problem.includes(`leaves ${tree_index} to `) || (named === writer_id && seq === first_seq),
    }
  },
  async 'a chain made anew'({ tx, log, random }) {
    const forged = structuredClone(log)
    for (const batch of forged.batches) Object.assign(batch, { leaves: Buffer.from(batch.leaves) })
    const row = pick(
      random,
      forged.rows.filter(({ kind, ...place }) => kind === 'exchange' && batchOf(log, place).tree_index !== null),
    )
    row.status = row.status === 'ALLOW' ? 'BLOCK' : 'ALLOW'
    rechain(forged, row.writer_id)
    const { writer_id } = row
    const own = <T extends { writer_id: string }>(list: readonly T[]): T[] => list.filter((each) => each.writer_id === writer_id)
    await tx.execute(sql`delete from audit_entries where writer_id = ${writer_id}`)
    await insertRows(tx, own(forged.rows))
    await tx.execute(sql`delete from audit_batches where writer_id = ${writer_id}`)
    await insertBatches(tx, own(forged.batches))
    await tx.execute(sql`update audit_writers set public_key = ${forged.writers.find(({ id }) => id === writer_id)!.public_key} where id = ${writer_id}`)
    const way = pick(random, ['checkpoints left', 'checkpoints deleted', 'tree deleted'])
    if (way !== 'checkpoints left') await tx.execute(sql`delete from audit_checkpoints`)
    if (way === 'tree deleted') await tx.execute(sql`update audit_batches set tree_index = null`)
    // Leaf 1 names the new key, so the first that differs is there: a checkpoint tells between which of its leaves.
    const first = batchOf(log, { writer_id, seq: 1 }).tree_index!
    const [from, to] = way === 'checkpoints left' ? intervalOf(log, first) : [0, log.checkpoints.at(-1)!.tree_size]
    return {
      what: `for ${nameOf(row)}, ${way}`,
      ...(way === 'checkpoints left' ? {} : { outside: newest(log) }),
      isNamed: ({ problem }) =>
        way === 'tree deleted'
          ? problem.includes(`leaves ${from} to ${to - 1} of the tree are missing`)
          : problem.includes(`(${from} to ${to - 1} of the tree) are not what`),
    }
  },
  async 'a batch changed'({ tx, log, random }) {
    const batch = pick(random, log.batches)
    const { writer_id, first_seq } = batch
    const name = pick(random, ['leaves', 'chain_hash', 'signature'] as const)
    const byte = below(random, batch[name].length)
    await tx.execute(sql`update audit_batches set ${sql.raw(name)} = set_byte(${sql.raw(name)}, ${byte}, get_byte(${sql.raw(name)}, ${byte}) # 1)
      where writer_id = ${writer_id} and first_seq = ${first_seq}`)
    return { what: `byte ${byte} of ${name} of ${writer_id} ${first_seq}`, isNamed: at({ writer_id, seq: first_seq }) }
  },
  async 'batches reordered in the tree'({ tx, log, random }) {
    const inTree = log.batches.filter(({ tree_index }) => tree_index !== null)
    const one = pick(random, inTree)
    const two = pick(
      random,
      inTree.filter((batch) => batch !== one),
    )
    const set = (batch: typeof one, index: number | null) =>
      tx.execute(sql`update audit_batches set tree_index = ${index} where writer_id = ${batch.writer_id} and first_seq = ${batch.first_seq}`)
    await set(one, null)
    await set(two, one.tree_index)
    await set(one, two.tree_index)
    const low = Math.min(one.tree_index!, two.tree_index!)
    const [from, to] = intervalOf(log, low)
    const places = [one, two].map(({ writer_id, first_seq }) => ({ writer_id, seq: first_seq }))
    return {
      what: places.map(nameOf).join(' and '),
      isNamed: (finding) =>
        at(...places)(finding) ||
        finding.problem.includes(`(${from} to ${to - 1} of the tree)`) ||
        /of the tree are in no batch|that another one has/.test(finding.problem),
    }
  },
  async 'a checkpoint changed'({ tx, log, random }) {
    const { tree_size } = pick(random, log.checkpoints)
    const number = log.checkpoints.findIndex((each) => each.tree_size === tree_size) + 1
    const edit = pick(random, [
      `root = set_byte(root, 7, get_byte(root, 7) # 1)`,
      `note = replace(note, chr(10) || tree_size || chr(10), chr(10) || tree_size + 1 || chr(10))`,
    ])
    await tx.execute(sql`update audit_checkpoints set ${sql.raw(edit)} where tree_size = ${tree_size}`)
    return { what: `${edit} of ${tree_size}`, isNamed: ({ problem }) => problem.startsWith(`checkpoint ${number} of the log`) }
  },
  async 'the newest checkpoint deleted'({ tx, log }) {
    const [before, last] = log.checkpoints.slice(-2).map(({ tree_size }) => tree_size)
    await tx.execute(sql`delete from audit_checkpoints where tree_size = ${last}`)
    return {
      what: `${last}`,
      isNamed: ({ problem }) => problem.includes(`no checkpoint of the log signs the leaves from here on (${before} to ${last! - 1} of the tree)`),
    }
  },
  async 'a writer changed'({ tx, log, random }) {
    const writer = pick(random, log.writers)
    const edit = pick(random, [
      `public_key = '${
        pick(
          random,
          log.writers.filter(({ id }) => id !== writer.id),
        ).public_key
      }'`,
      writer.closed ? 'closed_at = null' : 'closed_at = now()',
      writer.closed ? 'last_seq = last_seq + 1' : `closed_at = now(), last_seq = 1`,
    ])
    await tx.execute(sql`update audit_writers set ${sql.raw(edit)} where id = ${writer.id}`)
    return { what: `${edit} of ${writer.id}`, isNamed: ({ writer_id }) => writer_id === writer.id }
  },
  async 'a writer deleted, with all it wrote'({ tx, log, random }) {
    const { id } = pick(
      random,
      log.writers.filter((writer) => log.batches.some((batch) => batch.writer_id === writer.id && batch.tree_index !== null)),
    )
    const { tree_index } = log.batches.find(({ writer_id }) => writer_id === id)!
    await cutOff(tx, sql`writer_id = ${id}`)
    await tx.execute(sql`delete from audit_writers where id = ${id}`)
    return { what: id, isNamed: ({ problem, writer_id }) => problem.includes(`leaves ${tree_index} to `) || writer_id === id }
  },
  async 'what was superseded changed'({ tx, log, random }) {
    const kept = pick(random, log.superseded)
    const way = pick(random, ['deleted', 'changed', 'renamed', 'moved'])
    if (way === 'deleted') await tx.execute(sql`delete from audit_superseded where ${isPlace(kept)}`)
    else if (way === 'changed') await tx.execute(sql`update audit_superseded set row = row || '{"model": "another one"}' where ${isPlace(kept)}`)
    else if (way === 'renamed') await tx.execute(sql`update audit_superseded set audit_id = audit_id || 'x' where ${isPlace(kept)}`)
    else await tx.execute(sql`update audit_superseded set seq = seq + 1000000 where ${isPlace(kept)}`)
    return { what: `${nameOf(kept)} ${way}`, isNamed: at(kept) }
  },
  async 'a row put aside as superseded'({ tx, log, random }) {
    const row = pick(
      random,
      log.rows.filter(({ kind, audit_id }) => kind === 'exchange' && !log.superseded.some((kept) => kept.row.audit_id === audit_id)),
    )
    await tx.execute(
      sql`insert into audit_superseded (writer_id, seq, audit_id, row) values (${row.writer_id}, ${row.seq}, ${row.audit_id}, ${JSON.stringify(row)}::text::jsonb)`,
    )
    await tx.execute(sql`delete from audit_entries where ${isRow(row)}`)
    return { what: nameOf(row), isNamed: at(row) }
  },
  async 'an erasure forged'({ tx, log, random }) {
    const told = pick(
      random,
      log.rows.filter(({ reason }) => reason === 'audit.erase'),
    )
    const named = (row: ChainedEntry): boolean => row.erased_by === told.audit_id
    const row = pick(
      random,
      log.rows.filter((each) => !named(each) && each.kind === 'exchange'),
    )
    await tx.execute(sql`update audit_entries set user_id = null, metadata = '{}', salt = null, erased_by = ${told.audit_id} where ${isRow(row)}`)
    return { what: nameOf(row), isNamed: at(row) }
  },
  async 'an erased row filled again'({ tx, log, random }) {
    const row = pick(
      random,
      log.rows.filter(({ erased_by }) => erased_by !== null),
    )
    await tx.execute(sql`update audit_entries set user_id = 'somebody else' where ${isRow(row)}`)
    return { what: nameOf(row), isNamed: at(row) }
  },
  async 'a pruning forged'({ tx, log, random }) {
    const row = pick(
      random,
      log.rows.filter(({ kind }) => kind === 'exchange'),
    )
    const told = pick(
      random,
      log.rows.filter(({ reason }) => reason === 'audit.prune'),
    )
    await tx.execute(sql`delete from audit_entries where ${isRow(row)}`)
    const leaves = JSON.stringify({ ...(told.metadata.leaves as object), [row.writer_id]: `${row.seq}` })
    await tx.execute(sql`update audit_entries set metadata = metadata || jsonb_build_object('leaves', ${leaves}::text::jsonb) where ${isRow(told)}`)
    return { what: `${nameOf(row)} in ${nameOf(told)}`, isNamed: at(told) }
  },
}

/** Batches and all their rows. */
async function cutOff(tx: Tx, which: SQL): Promise<void> {
  await tx.execute(sql`
    with gone as (delete from audit_batches where ${which} returning writer_id, first_seq, first_seq + octet_length(leaves) / 32 - 1 as last_seq),
      superseded as (delete from audit_superseded s using gone where s.writer_id = gone.writer_id and s.seq between gone.first_seq and gone.last_seq)
    delete from audit_entries e using gone where e.writer_id = gone.writer_id and e.seq between gone.first_seq and gone.last_seq`)
}

/** The checkpoints of the log between which a leaf of the tree is. */
function intervalOf(log: BuiltLog, index: number): [number, number] {
  const sizes = [0, ...log.checkpoints.map(({ tree_size }) => tree_size)]
  const i = sizes.findIndex((size) => size > index)
  return [sizes[i - 1]!, sizes[i]!]
}
