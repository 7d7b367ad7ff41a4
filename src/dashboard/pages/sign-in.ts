/** Signing in. Whoever is not signed in sees nothing else. */
import type { Refused } from '../api.ts'
import { html } from '../html.ts'
import { type View, view } from '../page.ts'
import { form, hidden, textField } from '../parts/fields.ts'
import { refusal } from '../parts/notice.ts'

interface SignIn {
  refused?: Refused | null
  email?: string
  /** Where one wanted to go. */
  next?: string
}

/** A path of this dashboard: a browser takes `//host` and `/\host` for another site's address. */
export const isOwnPath = (path: string): boolean => /^\/(?![/\\])[\x21-\x7e]*$/.test(path)

export const signInPage = ({ refused = null, email = '', next = '/' }: SignIn): View =>
  view(
    'Sign in',
    html`${refusal(refused)}
    ${form({
      action: '/sign-in',
      submit: 'Sign in',
      content: [
        hidden('next', next),
        textField({ name: 'email', label: 'E-mail address', type: 'email', value: email, autocomplete: 'username', isRequired: true }),
        textField({ name: 'password', label: 'Password', type: 'password', autocomplete: 'current-password', isRequired: true }),
      ],
    })}
    <p class="quiet">An owner adds people, on the page People. Where there is no owner yet, <code>earthflow users create</code> makes one.</p>`,
    { status: refused?.status ?? 200 },
  )
