/** What only the database knows of itself and of the keys in it. */
import { masterKeyId } from '../../crypto/master-key.ts'
import { DEAD_AFTER_SECONDS } from '../../db/processes.ts'
import { type Check, fail, many, warn } from '../check.ts'

const CLOCKS_APART_MS_MAX = 2_000
/** What a process opens beside its pool: for hand-made statements, and to hear of changes (db/connect.ts). */
const CONNECTIONS_BESIDE_POOL = 5

export const databaseChecks: readonly Check[] = [
  {
    name: 'clock',
    about: 'this machine and the database have the same time',
    async ask({ sql }, { now }) {
      const before = now()
      const [row] = await sql<{ ms: number }[]>`select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms`
      const there = row?.ms ?? before
      const apart = Math.max(before - there, there - now(), 0)
      return apart > CLOCKS_APART_MS_MAX
        ? [
            fail(
              `The clocks of this machine and of the database are ${Math.round(apart / 1000)} seconds apart: keys and sessions end at the wrong time. Set both by NTP.`,
            ),
          ]
        : []
    },
  },
  {
    name: 'pool',
    about: 'the database has room for the connections of every process',
    async ask({ engine, sql }, { config: { database } }) {
      if (engine === 'pglite' || database.kind === 'embedded') return []
      const [row] = await sql<{ processes: number; places: number }[]>`
        select (select count(*)::int from processes where heartbeat_at > now() - make_interval(secs => ${DEAD_AFTER_SECONDS})) as processes,
          current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true), '0')::int as places`
      const processes = Math.max(row?.processes ?? 0, 1)
      const wanted = processes * (database.poolMax + CONNECTIONS_BESIDE_POOL)
      const places = row?.places ?? 0
      return wanted > places
        ? [
            fail(
              `${processes} ${processes === 1 ? 'process' : 'processes'} with POSTGRES_POOL_MAX=${database.poolMax} may open ${wanted} connections, and PostgreSQL takes ${places}: lower one, or raise max_connections.`,
            ),
          ]
        : []
    },
  },
  {
    name: 'backups',
    about: 'the database is copied somewhere',
    async ask({ engine, sql }) {
      if (engine === 'pglite') return [warn('The embedded database is copied nowhere: stop Earthflow and run earthflow backup regularly, or use PostgreSQL.')]
      const [row] = await sql<{ archives: boolean; fails: boolean; copies: number }[]>`
        select current_setting('archive_mode') <> 'off' as archives,
          coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) as fails,
          (select count(*)::int from pg_replication_slots) + (select count(*)::int from pg_stat_replication) as copies
        from pg_stat_archiver`
      if (row?.archives && row.fails) return [fail('PostgreSQL could not archive its last segment: a backup could not be brought up to date. Look at its log.')]
      if (row?.archives || (row?.copies ?? 0) > 0) return []
      return [
        warn(
          'PostgreSQL archives nothing and nobody replicates it; other backups cannot be seen from here. Make sure that there are some, and that one was restored.',
        ),
      ]
    },
  },
  {
    name: 'data-keys',
    about: 'every data key opens with the current master key, and with no other',
    async ask({ sql }, { config: { masterKeys } }) {
      const [current = '', ...older] = masterKeys.map(masterKeyId)
      const rows = await sql<{ masters: string[] }[]>`select array(select jsonb_object_keys(wrappings)) as masters from data_keys`
      const closed = rows.filter(({ masters }) => !masters.some((id) => id === current || older.includes(id))).length
      const late = rows.filter(({ masters }) => !masters.includes(current)).length - closed
      const left = rows.filter(({ masters }) => masters.includes(current) && masters.length > 1).length
      const useless = older.filter((id) => !rows.some(({ masters }) => masters.includes(id))).length
      return [
        ...(closed > 0 ? [fail(`No key in EARTHFLOW_MASTER_KEY opens ${many(closed, 'data key')}: put the one that does back into the list.`)] : []),
        ...(late > 0 ? [warn(`The current master key does not open ${many(late, 'data key')}: finish the rotation with POST /v1/ops/rotate-master.`)] : []),
        ...(left > 0 ? [warn(`An older master key still opens ${many(left, 'data key')}: take that away with earthflow rotate-keys --retire-old.`)] : []),
        ...(useless > 0 && late + closed + left === 0 ? [warn('EARTHFLOW_MASTER_KEY lists older keys that open nothing any more: take them out.')] : []),
      ]
    },
  },
]
