/** What is set up for tenants and people. */
import { liesIn } from '../../upstreams/regions.ts'
import { SANDBOX_URL } from '../../upstreams/upstream.ts'
import { type Check, fail, many, named, warn } from '../check.ts'
import { liesOutside } from '../lies-outside.ts'

const KEY_DAYS_MAX = 365

export const tenantChecks: readonly Check[] = [
  {
    name: 'limits',
    about: 'every tenant has limits of its own',
    async ask({ sql }) {
      const rows = await sql<{ id: string }[]>`
        select id from tenants where active and limits is null and max_requests_per_minute is null and max_requests_per_day is null
          and max_tokens_per_minute is null and max_tokens_per_day is null and max_concurrency is null order by id`
      return rows.length > 0
        ? [
            warn(
              `${many(rows.length, 'tenant')} without a limit of their own (${named(rows.map(({ id }) => id))}): only RATE_LIMIT_DEFAULT_RPM holds them. Set one with PATCH /v1/tenants/{id}.`,
            ),
          ]
        : []
    },
  },
  {
    name: 'budgets',
    about: 'something ends what is spent',
    async ask({ sql }) {
      const [row] = await sql<{ hard: number; tenants: number }[]>`
        select (select count(*)::int from budgets where mode = 'hard') as hard, (select count(*)::int from tenants where active) as tenants`
      return row?.hard === 0 && row.tenants > 0 ? [warn('There is no hard budget, so nothing ends what is spent: add one with POST /v1/budgets.')] : []
    },
  },
  {
    name: 'rules',
    about: 'the calls of every tenant are judged',
    async ask({ sql }) {
      const rows = await sql<{ id: string }[]>`
        select id from tenants t where active and not exists (
          select from rules r where r.tenant_id = t.id and r.active and r.mode = 'enforce' and r.action <> 'ALLOW') order by id`
      return rows.length > 0
        ? [
            warn(
              `${many(rows.length, 'tenant')} without a rule in force (${named(rows.map(({ id }) => id))}): their calls leave as they came. Add rules, such as the preset default.`,
            ),
          ]
        : []
    },
  },
  {
    name: 'api-keys',
    about: 'no API key is for ever',
    async ask({ sql }, { now }) {
      const [row] = await sql<{ old: number }[]>`
        select count(*)::int as old from api_keys k join tenants t on t.id = k.tenant_id where t.active and k.revoked_at is null and k.expires_at is null
          and k.created_at < ${new Date(now() - KEY_DAYS_MAX * 86_400_000).toISOString()}::timestamptz`
      return row && row.old > 0 ? [warn(`${many(row.old, 'API key')} older than a year without an end: rotate them with earthflow rotate-keys.`)] : []
    },
  },
  {
    name: 'owners',
    about: 'somebody of the installation is its owner, and can log in',
    async ask({ sql }, { config: { oidcIssuers } }) {
      const rows = await sql<{ id: string; password: boolean }[]>`
        select id, password_hash is not null as password from users where active and role = 'owner' and tenant_id is null order by id`
      const elsewhere = oidcIssuers.some(({ roles }) => Object.values(roles).includes('owner'))
      if (rows.length === 0)
        return elsewhere ? [] : [warn('Nobody is owner, so all is done with the administrator’s key and by nobody’s name: earthflow users create.')]
      const without = rows.filter(({ password }) => !password)
      return without.length > 0 && oidcIssuers.length === 0
        ? [
            warn(
              `${many(without.length, 'owner')} without a password (${named(without.map(({ id }) => id))}), and there is no identity provider: they cannot log in.`,
            ),
          ]
        : []
    },
  },
  {
    name: 'locality',
    about: 'no active upstream lies where EARTHFLOW_LOCALITY lets nothing go',
    async ask({ sql }, context) {
      const { locality } = context.config
      if (locality.kind === 'any') return []
      const rows = await sql<{ name: string; base_url: string; region: string | null }[]>`
        select name, base_url, region from upstreams where active and base_url <> ${SANDBOX_URL} order by name`
      const closed: string[] = []
      for (const { name, base_url: baseUrl, region } of rows)
        if (locality.kind === 'regions' ? !liesIn({ baseUrl, region }, locality.regions) : await liesOutside(baseUrl, context)) closed.push(name)
      return closed.length > 0
        ? [
            fail(
              `${many(closed.length, 'upstream')} that EARTHFLOW_LOCALITY refuses (${named(closed)}): their calls are turned away. Say where they lie, or take them out.`,
            ),
          ]
        : []
    },
  },
]
