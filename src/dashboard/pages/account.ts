/** Who one is here, and one's password. */

import type { Refused } from '../api.ts'
import { html } from '../html.ts'
import { type Page, redirect, type View, type Visit, view } from '../page.ts'
import { heading } from '../parts/controls.ts'
import { errorsOf, form, textField } from '../parts/fields.ts'
import { badge, code } from '../parts/figures.ts'
import { refusal } from '../parts/notice.ts'
import { facts } from '../parts/table.ts'

const accountPage: Page = {
  path: '/account',
  get: async (visit) => account(visit, null),
  async post(visit) {
    const { form: sent, api } = visit
    if (sent.get('password') !== sent.get('again')) return account(visit, mismatch)
    const answer = await api.ask('POST', '/v1/auth/password', {
      body: { current_password: sent.get('current_password') ?? '', password: sent.get('password') ?? '' },
    })
    return answer.ok ? redirect('/sign-in', 'The password is changed, and every login of yours has ended. Sign in with the new one.') : account(visit, answer)
  },
}

const mismatch: Refused = {
  ok: false,
  status: 422,
  code: 'VALIDATION_ERROR',
  message: 'The new password was typed in two different ways.',
  field: 'again',
  problems: [],
  requestId: '',
}

function account({ me, tenants }: Visit, refused: Refused | null): View {
  const error = errorsOf(refused)
  const tenant = tenants.find(({ tenant_id }) => tenant_id === me.tenant_id)
  return view(
    'Your account',
    html`${facts([
      ['Name', me.name],
      ['E-mail address', me.email],
      ['Role', me.role && badge(me.role.replace('_', ' '))],
      ['Belongs to', me.tenant_id === null ? 'the whole installation' : (tenant?.name ?? code(me.tenant_id))],
    ])}
    ${heading('Change the password')}
    ${refusal(refused)}
    ${form({
      action: '/account',
      submit: 'Change the password',
      content: [
        textField({
          name: 'current_password',
          label: 'Current password',
          type: 'password',
          autocomplete: 'current-password',
          isRequired: true,
          error: error('current_password'),
        }),
        textField({
          name: 'password',
          label: 'New password',
          type: 'password',
          autocomplete: 'new-password',
          isRequired: true,
          hint: 'At least 12 characters. A few words nobody says are good.',
          error: error('password'),
        }),
        textField({ name: 'again', label: 'New password again', type: 'password', autocomplete: 'new-password', isRequired: true, error: error('again') }),
      ],
    })}
    <p class="quiet">All your logins end with it, this one too.</p>`,
    { status: refused?.status ?? 200 },
  )
}

export const accountPages: readonly Page[] = [accountPage]
