/** Whose something is, where whoever looks sees the affairs of several tenants. */
import type { Refused } from '../api.ts'
import { type Content, html } from '../html.ts'
import type { Visit } from '../page.ts'
import { linkButton } from './controls.ts'
import { selectField } from './fields.ts'
import { empty } from './notice.ts'
import type { Column } from './table.ts'

/** The name of the field in which a form says its tenant. It is no member of the body: the API is told beside it. */
export const TENANT_FIELD = 'for_tenant'

/** Whether tenants must be told apart in what is shown. */
export const seesSeveral = (visit: Visit): boolean => visit.me.tenant_id === null && visit.tenantId === null

/** The name of a tenant, as far as whoever looks may know it. */
export const tenantName = ({ tenants }: Visit, id: string | null): string =>
  id === null ? 'the installation' : (tenants.find(({ tenant_id }) => tenant_id === id)?.name ?? id)

/** A column and its cells, only where tenants must be told apart. */
export const tenantColumn = (visit: Visit): readonly Column[] => (seesSeveral(visit) ? [{ label: 'Tenant' }] : [])
export const tenantCell = (visit: Visit, id: string | null): readonly Content[] => (seesSeveral(visit) ? [tenantName(visit, id)] : [])

export interface TenantChoice {
  /** What is said in the place of no tenant, where there may be none. */
  none?: string
  /** Why the form was not done. */
  refused?: Refused | null
}

/** Asks for the tenant, unless it is clear. */
export function tenantChoice(visit: Visit, values: URLSearchParams, { none, refused = null }: TenantChoice = {}): Content {
  if (!seesSeveral(visit)) return null
  const open = visit.tenants.filter(({ active }) => active).map(({ tenant_id, name }) => ({ value: tenant_id, label: name }))
  return selectField({
    name: TENANT_FIELD,
    label: 'Tenant',
    isRequired: none === undefined,
    value: values.get(TENANT_FIELD),
    options: [{ value: '', label: none ?? 'Choose one' }, ...open],
    error: refused?.field === 'tenant_id' ? 'Choose a tenant.' : undefined,
  })
}

/** The tenant that a form is about; null: none, which is the whole installation. */
export const tenantOf = (visit: Visit): string | null => (seesSeveral(visit) ? visit.form.get(TENANT_FIELD) || null : visit.tenantId)

/** Before the first tenant there is nobody to make anything for. */
export const noTenantYet = (visit: Visit, what: string): Content =>
  seesSeveral(visit) && visit.tenants.length === 0
    ? empty(
        'There is no tenant yet',
        html`<p>${what} belongs to a tenant.</p>${visit.may('tenants:write') ? linkButton(visit.link('/tenants/new'), 'Create the first tenant', { isPrimary: true }) : null}`,
      )
    : null
