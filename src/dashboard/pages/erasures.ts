/** Takes a person out of a tenant's audit log and ledger of costs, for good. */
import type { Refused } from '../api.ts'
import { html } from '../html.ts'
import { type Page, type Reply, type Visit, view } from '../page.ts'
import { linkButton, postButton } from '../parts/controls.ts'
import { groupedForm, sentValues } from '../parts/field-groups.ts'
import { exact } from '../parts/figures.ts'
import { type FieldGroup, readForm } from '../parts/form-fields.ts'
import { advice, told } from '../parts/notice.ts'
import { noTenantYet, tenantChoice, tenantOf } from '../parts/tenant-choice.ts'
import { only } from './only.ts'

interface Erased {
  erased: number
  pending: number
}

/** No member of the body: it is typed twice, for nobody can take it back. */
const AGAIN = 'again'

const groups: readonly FieldGroup[] = [
  {
    legend: 'Whom',
    fields: [
      { name: 'user_id', label: 'User', kind: 'text', required: true, hint: 'As the entries have it.' },
      { name: AGAIN, label: 'The same once more', kind: 'text', required: true, hint: 'What is erased, nobody brings back.' },
    ],
  },
  {
    legend: 'Which entries',
    hint: 'Both empty: all of them.',
    fields: [
      { name: 'from', label: 'From (UTC)', kind: 'moment' },
      { name: 'to', label: 'Until (UTC)', kind: 'moment' },
    ],
  },
]

export const erasurePages: readonly Page[] = [
  {
    path: '/checkpoints/erase',
    get: only('audit:erase', async (visit) => page(visit, new URLSearchParams(), null)),
    post: erase,
  },
]

function page(visit: Visit, values: URLSearchParams, refused: Refused | null): Reply {
  const body = html`<p class="lead">Entries no longer say who it was, and lose what callers said of the calls. The log stays provable, and says that something was erased, not whose.</p>
    ${
      noTenantYet(visit, 'An entry') ??
      groupedForm({
        action: visit.link('/checkpoints/erase'),
        groups,
        values,
        refused,
        submit: 'Erase for good',
        cancel: visit.link('/checkpoints'),
        before: tenantChoice(visit, values, { refused }),
      })
    }`
  return view('Erase a person', body, { status: refused?.status ?? 200 })
}

async function erase(visit: Visit): Promise<Reply> {
  const { [AGAIN]: again, ...body } = readForm(groups, visit.form)
  if (again !== body.user_id) return page(visit, sentValues(groups, visit.form), otherwise)
  const answer = await visit.api.ask<Erased>('POST', '/v1/audit/erasures', { body, tenant: tenantOf(visit) })
  if (!answer.ok) return page(visit, sentValues(groups, visit.form), answer)
  const { erased, pending } = answer.json
  const values = Object.fromEntries([...visit.form].filter(([, value]) => value !== ''))
  return view(
    'Erased',
    html`${told(`${exact(erased)} ${erased === 1 ? 'entry no longer says' : 'entries no longer say'} who it was.`)}
      ${
        pending === 0
          ? null
          : advice(html`<p>${exact(pending)} still do: of calls under way, or too many for one time. Go on until there are none.</p>
              ${postButton({ action: visit.link('/checkpoints/erase'), label: 'Go on', values, isDangerous: true })}`)
      }
      <p>Budgets for this user keep the name: they are settings, and are deleted on their page.</p>
      ${linkButton(visit.link('/checkpoints'), 'Back to the checkpoints')}`,
  )
}

const otherwise: Refused = {
  ok: false,
  status: 422,
  code: 'CONFIG_ERROR',
  message: 'Nothing was done: the user was typed in two different ways.',
  field: AGAIN,
  problems: [],
  requestId: '',
}
