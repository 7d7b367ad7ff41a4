/** A page that is about one tenant, for who sees several and has not said which. */
import { queryOf } from '../api.ts'
import { html } from '../html.ts'
import { type View, type Visit, view } from '../page.ts'
import { empty } from '../parts/notice.ts'

const SHOWN_MAX = 50

export function needsTenant({ tenants, path }: Visit, title: string, why: string): View {
  const open = tenants.filter(({ active }) => active)
  return view(
    title,
    open.length === 0
      ? empty('There is no tenant yet', html`<p>${why} Create a tenant first.</p>`)
      : html`<p>${why} Choose one:</p>
        <ul class="choices">${open.slice(0, SHOWN_MAX).map(({ tenant_id, name }) => html`<li><a href="${path}${queryOf({ tenant_id })}">${name}</a></li>`)}</ul>
        ${open.length > SHOWN_MAX ? html`<p class="quiet">The others are in the list at the top.</p>` : null}`,
  )
}
