/** People: who may sign in here, and what they may do. */
import { roleNames, roles, scopesOf } from '../../access/roles.ts'
import type { Refused } from '../api.ts'
import { type Content, html } from '../html.ts'
import { type Page, type Reply, redirect, type Visit, view } from '../page.ts'
import { heading, linkButton, pager, postButton } from '../parts/controls.ts'
import { groupedForm, sentValues, summary } from '../parts/field-groups.ts'
import { badge, code, time } from '../parts/figures.ts'
import { changesIn, type FieldGroup, type Option, readForm, shownIn, wasIn } from '../parts/form-fields.ts'
import { empty } from '../parts/notice.ts'
import { table } from '../parts/table.ts'
import { tenantChoice, tenantName, tenantOf } from '../parts/tenant-choice.ts'
import { only } from './only.ts'

interface User {
  id: string
  email: string
  name: string
  role: (typeof roleNames)[number]
  tenant_id: string | null
  active: boolean
  created_at: string
  last_login_at: string | null
}

interface Users {
  users: User[]
  total: number
  limit: number
  offset: number
}

const PAGE = 50
/** The API has no way to read one person alone. */
const USERS_MAX = 1_000

export const userPages: readonly Page[] = [
  { path: '/users', nav: { label: 'People', group: 'Run', scope: 'users:read' }, get: async (visit) => list(visit, null), post: create },
  { path: '/users/new', get: only('users:write', async (visit) => newUser(visit, new URLSearchParams({ role: 'viewer' }), null)) },
  { path: '/users/:id/edit', get: only('users:write', edit), post: change },
  { path: '/users/:id/active', post: activate },
]

/** Nobody gives away what they may not do themselves: only what can be given is offered. */
const rolesFor = (visit: Visit, tenantId: string | null): Option[] =>
  roleNames
    .filter((role) => [...scopesOf(role, tenantId)].every((scope) => visit.may(scope)))
    .map((role) => ({ value: role, label: `${spelled(role)}: ${roles[role].about}` }))

const spelled = (role: string): string => role.replace('_', ' ')
const PASSWORD = 'At least 12 characters; a few words nobody says are good.'

const newGroups = (visit: Visit): FieldGroup[] => [
  {
    legend: 'The person',
    fields: [
      { name: 'email', label: 'E-mail address', kind: 'email', required: true },
      { name: 'name', label: 'Name', kind: 'text', hint: 'Empty: the e-mail address.' },
      { name: 'role', label: 'Role', kind: 'choice', options: rolesFor(visit, visit.me.tenant_id) },
      { name: 'password', label: 'First password', kind: 'secret', hint: `${PASSWORD} Empty: nobody can sign in with one, only by an identity provider.` },
    ],
  },
]

const changedGroups = (visit: Visit, { id, role, tenant_id: tenantId }: User): FieldGroup[] => {
  const isSelf = id === visit.me.id
  const offered = rolesFor(visit, tenantId)
  const options = offered.some(({ value }) => value === role) ? offered : [{ value: role, label: spelled(role) }, ...offered]
  return [
    {
      legend: 'The person',
      fields: [
        { name: 'name', label: 'Name', kind: 'text', required: true },
        ...(isSelf
          ? []
          : [
              { name: 'role', label: 'Role', kind: 'choice', options, hint: 'Another role ends all their logins at once.' } as const,
              { name: 'password', label: 'New password', kind: 'secret', hint: `${PASSWORD} It ends all their logins. Empty: it stays.` } as const,
            ]),
      ],
    },
  ]
}

async function list(visit: Visit, refused: Refused | null): Promise<Reply> {
  const found = await visit.api.get<Users>('/v1/users', { limit: PAGE, offset: visit.query.get('offset') })
  return view('People', page(visit, found, refused), { status: refused?.status ?? 200 })
}

function page(visit: Visit, { users, total, limit, offset }: Users, refused: Refused | null): Content {
  const mayWrite = visit.may('users:write')
  return html`${summary(refused)}
    <p class="lead">Who may sign in, and what their role lets them do. A person belongs to a tenant, or to the whole installation.</p>
    ${heading('People', mayWrite ? linkButton(visit.link('/users/new'), 'Add a person', { isPrimary: true }) : null)}
    ${table({
      caption: 'People, newest first, those who were deactivated too',
      columns: [
        { label: 'Person' },
        { label: 'Role' },
        { label: 'Belongs to' },
        { label: 'State' },
        { label: 'Last login' },
        ...(mayWrite ? [{ label: 'Actions', isQuiet: true }] : []),
      ],
      rows: users.map((user) => [
        html`${user.name}${user.name === user.email ? null : html`<br><span class="quiet">${user.email}</span>`}`,
        badge(spelled(user.role), user.role === 'owner' ? 'special' : 'plain'),
        tenantName(visit, user.tenant_id),
        user.active ? badge('Active', 'good') : badge('Deactivated'),
        time(user.last_login_at, { none: 'never', isShort: true }),
        ...(mayWrite ? [actions(visit, user)] : []),
      ]),
      empty: empty('Nobody is here yet', html`<p>Add the people who write rules, decide about held calls and read the audit log.</p>`),
    })}
    ${pager({ total, limit, offset, link: (query) => visit.link('/users', query) })}
    ${heading('What roles may do')}
    ${table({
      caption: 'Roles',
      columns: [{ label: 'Role' }, { label: 'What for' }, { label: 'Scopes' }],
      rows: roleNames.map((role) => [spelled(role), roles[role].about, html`<span class="quiet">${[...scopesOf(role, visit.me.tenant_id)].join(', ')}</span>`]),
      empty: null,
    })}`
}

function actions(visit: Visit, { id, name, active }: User): Content {
  const path = (verb: string): string => visit.link(`/users/${id}/${verb}`)
  const isSelf = id === visit.me.id
  return html`<div class="actions">${linkButton(path('edit'), 'Change', { about: name })}${
    isSelf
      ? null
      : active
        ? postButton({
            action: path('active'),
            label: 'Deactivate',
            about: name,
            values: { active: 'false' },
            isDangerous: true,
            confirm: `Deactivate ${name}? All their logins end at once.`,
          })
        : postButton({ action: path('active'), label: 'Activate', about: name, values: { active: 'true' } })
  }</div>`
}

function newUser(visit: Visit, values: URLSearchParams, refused: Refused | null): Reply {
  const body = groupedForm({
    action: visit.link('/users'),
    groups: newGroups(visit),
    values,
    refused,
    submit: 'Add the person',
    cancel: visit.link('/users'),
    before: tenantChoice(visit, values, { none: 'The whole installation', refused }),
  })
  return view('Add a person', body, { status: refused?.status ?? 200 })
}

async function create(visit: Visit): Promise<Reply> {
  const groups = newGroups(visit)
  const answer = await visit.api.ask<User>('POST', '/v1/users', { body: readForm(groups, visit.form), tenant: tenantOf(visit) })
  if (!answer.ok) return newUser(visit, sentValues(groups, visit.form), answer)
  return redirect(visit.link('/users'), `${answer.json.name} was added as ${spelled(answer.json.role)}.`)
}

async function userOf(visit: Visit): Promise<User | null> {
  for (let offset = 0; ; offset += USERS_MAX) {
    const { users, total } = await visit.api.get<Users>('/v1/users', { limit: USERS_MAX, offset })
    const found = users.find(({ id }) => id === visit.params.id)
    if (found || offset + users.length >= total || users.length === 0) return found ?? null
  }
}

const nobody = (visit: Visit): Reply =>
  view('No such person', html`<p>There is no such person. <a href="${visit.link('/users')}">All people</a></p>`, { status: 404 })

async function edit(visit: Visit): Promise<Reply> {
  const user = await userOf(visit)
  if (user === null) return nobody(visit)
  const was = shownIn(changedGroups(visit, user), user)
  return editing(visit, user, { values: was, was, refused: null })
}

const editing = (visit: Visit, user: User, form: { values: URLSearchParams; was: URLSearchParams; refused: Refused | null }): Reply =>
  view(
    `Change ${user.name}`,
    html`<p>${code(user.email)}, of ${tenantName(visit, user.tenant_id)}.</p>
      ${groupedForm({ action: visit.link(`/users/${user.id}/edit`), groups: changedGroups(visit, user), submit: 'Save', cancel: visit.link('/users'), ...form })}
      ${user.id === visit.me.id ? html`<p class="quiet">Your password is changed on the <a href="/account">page of your account</a>; nobody changes their own role.</p>` : null}`,
    { status: form.refused?.status ?? 200 },
  )

async function change(visit: Visit): Promise<Reply> {
  const user = await userOf(visit)
  if (user === null) return nobody(visit)
  const groups = changedGroups(visit, user)
  const answer = await visit.api.ask<User>('PATCH', `/v1/users/${user.id}`, { body: changesIn(groups, visit.form) })
  if (answer.ok) return redirect(visit.link('/users'), `${answer.json.name} was changed.`)
  const was = wasIn(visit.form)
  return editing(visit, user, { values: sentValues(groups, visit.form), was, refused: answer })
}

async function activate(visit: Visit): Promise<Reply> {
  const active = visit.form.get('active') === 'true'
  const answer = await visit.api.ask<User>('PATCH', `/v1/users/${encodeURIComponent(visit.params.id ?? '')}`, { body: { active } })
  if (!answer.ok) return list(visit, answer)
  return redirect(visit.link('/users'), active ? `${answer.json.name} may sign in again.` : `${answer.json.name} was deactivated, and all their logins ended.`)
}
