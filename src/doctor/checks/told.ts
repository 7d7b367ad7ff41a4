/** Who is told of things, and whether anybody hears it. */
import { type Check, many, named, warn } from '../check.ts'

const FAILING_HOURS = 1
/** Roles that may decide about calls. */
const deciders: readonly string[] = ['arbiter', 'owner']

export const toldChecks: readonly Check[] = [
  {
    name: 'webhooks',
    about: 'whoever is to be told of events can be told',
    async ask({ sql }, { now }) {
      const since = new Date(now() - FAILING_HOURS * 3_600_000).toISOString()
      const rows = await sql<{ id: string; active: boolean }[]>`
        select id, active from webhooks where disabled_reason is not null or (active and failing_since < ${since}::timestamptz) order by id`
      const ids = (active: boolean): string[] => rows.filter((row) => row.active === active).map(({ id }) => id)
      const [failing, disabled] = [ids(true), ids(false)]
      return [
        ...(failing.length > 0
          ? [warn(`${many(failing.length, 'webhook')} that no delivery reaches (${named(failing)}): GET /v1/webhooks/{id}/deliveries says what came back.`)]
          : []),
        ...(disabled.length > 0
          ? [warn(`${many(disabled.length, 'webhook')} disabled because nothing arrived (${named(disabled)}): enable it with PATCH and replay, or delete it.`)]
          : []),
      ]
    },
  },
  {
    name: 'arbiters',
    about: 'where rules hold calls, somebody hears of it and may decide',
    async ask({ sql }, { config: { oidcIssuers } }) {
      const elsewhere = oidcIssuers.some(({ roles }) => Object.values(roles).some((role) => deciders.includes(role)))
      const rows = await sql<{ id: string; decided: boolean; told: boolean }[]>`
        select t.id,
          exists (select from users u where u.active and u.role = any(array(select jsonb_array_elements_text(${JSON.stringify(deciders)}::text::jsonb))) and (u.tenant_id is null or u.tenant_id = t.id)) as decided,
          exists (select from webhooks w where w.active and (w.tenant_id is null or w.tenant_id = t.id) and w.events ?| array['*', 'ESCALATE']) as told
        from tenants t where t.active
          and exists (select from rules r where r.tenant_id = t.id and r.active and r.mode = 'enforce' and r.action = 'ESCALATE') order by t.id`
      const undecided = rows.filter(({ decided }) => !decided && !elsewhere).map(({ id }) => id)
      const untold = rows.filter(({ told }) => !told).map(({ id }) => id)
      return [
        ...(undecided.length > 0
          ? [
              warn(
                `Rules of ${many(undecided.length, 'tenant')} hold calls (${named(undecided)}), and nobody is there to decide: earthflow users create, role arbiter.`,
              ),
            ]
          : []),
        ...(untold.length > 0
          ? [warn(`Rules of ${many(untold.length, 'tenant')} hold calls (${named(untold)}), and nobody is told: add a webhook for ESCALATE.`)]
          : []),
      ]
    },
  },
]
