import type { Refused } from '../api.ts'
import { type Content, html } from '../html.ts'
import type { Visit } from '../page.ts'
import { heading, linkButton, pager } from '../parts/controls.ts'
import { summary } from '../parts/field-groups.ts'
import { textField } from '../parts/fields.ts'
import { badge, code, type Tone, time } from '../parts/figures.ts'
import { advice, empty } from '../parts/notice.ts'
import { facts, table } from '../parts/table.ts'
import { tabs } from '../parts/tabs.ts'
import { seesSeveral, tenantCell, tenantColumn, tenantName } from '../parts/tenant-choice.ts'

export interface Escalation {
  id: string
  status: 'pending' | 'approved' | 'denied' | 'expired'
  request_id: string
  audit_id: string
  tenant_id: string
  key_prefix: string
  agent_id: string | null
  user_id: string | null
  dialect: string
  endpoint: string | null
  model: string | null
  rules_triggered: string[]
  policy_version: number
  body_hash: string
  created_at: string
  expires_at: string
  decided_at: string | null
  decided_by: string | null
  comment: string | null
  used_at: string | null
}

export interface EscalationsFound {
  escalations: Escalation[]
  total: number
  limit: number
  offset: number
}

const tones: Readonly<Record<Escalation['status'], Tone>> = { pending: 'info', approved: 'good', denied: 'bad', expired: 'plain' }
const words: Readonly<Record<Escalation['status'], string>> = { pending: 'Waits', approved: 'Approved', denied: 'Denied', expired: 'Expired' }
const state = ({ status }: Escalation): Content => badge(words[status], tones[status])
const HURRY_SECONDS = 120

interface Parts {
  waiting: Content
  decided: Content
  status: string | null
}

export const escalationsPage = (visit: Visit, { waiting, decided, status }: Parts): Content =>
  html`<p class="lead">A rule with the action ESCALATE holds a call until a person has decided about exactly the bytes that will be sent. Nobody deciding is a no.</p>
    ${heading('Waiting', html`<button type="button" class="button" data-live-pause hidden>Pause</button>`)}
    ${waiting}
    ${heading('Decided')}
    ${tabs('Decided', [
      { label: 'All', href: visit.link('/escalations'), isHere: status === null || status === '' },
      ...(['approved', 'denied', 'expired'] as const).map((name) => ({
        label: words[name],
        href: visit.link('/escalations', { status: name }),
        isHere: status === name,
      })),
    ])}
    ${decided}`

/** Those first that wait the shortest time still. */
export const waitingPart = (visit: Visit, { escalations, total }: EscalationsFound): Content =>
  html`${table({
    caption: 'Calls that wait, the most urgent first',
    columns: [
      { label: 'Held' },
      { label: 'Waits still', isNumber: true },
      { label: 'Actions', isQuiet: true },
      ...tenantColumn(visit),
      { label: 'Model' },
      { label: 'Endpoint' },
      { label: 'Key' },
      { label: 'User' },
    ],
    rows: escalations
      .toSorted((a, b) => a.expires_at.localeCompare(b.expires_at))
      .map((one) => [
        time(one.created_at, { isShort: true }),
        left(one, visit.now),
        linkButton(visit.link(`/escalations/${one.id}`), visit.may('escalations:decide') ? 'Decide' : 'See', {
          about: `about the call ${one.request_id}`,
          isPrimary: visit.may('escalations:decide'),
        }),
        ...tenantCell(visit, one.tenant_id),
        code(one.model),
        one.endpoint ?? one.dialect,
        code(one.key_prefix),
        one.user_id ?? '–',
      ]),
    empty: empty('No call waits for a person', html`<p>They appear here by themselves. Rules with the action ESCALATE hold calls.</p>`),
  })}
  ${total > escalations.length ? html`<p class="quiet">${total} wait; these are the newest ${escalations.length}.</p>` : null}`

function left({ expires_at: expiresAt }: Escalation, now: Date): Content {
  const seconds = Math.max(0, Math.round((Date.parse(expiresAt) - now.getTime()) / 1_000))
  const text = seconds >= 60 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${seconds} s`
  return seconds < HURRY_SECONDS ? badge(text, 'warning') : text
}

export const decidedTable = (visit: Visit, { escalations, total, limit, offset }: EscalationsFound, status: string | null): Content =>
  html`${table({
    caption: 'Calls that were decided, newest first',
    columns: [{ label: 'Held' }, ...tenantColumn(visit), { label: 'Decision' }, { label: 'Model' }, { label: 'User' }, { label: 'Comment' }, { label: 'Used' }],
    rows: escalations
      .filter((one) => one.status !== 'pending')
      .map((one) => [
        html`<a href="${visit.link(`/escalations/${one.id}`)}">${time(one.created_at, { isShort: true })}</a>`,
        ...tenantCell(visit, one.tenant_id),
        html`${state(one)}<br><span class="quiet">${one.decided_by ?? 'nobody'}, ${time(one.decided_at, { isShort: true })}</span>`,
        code(one.model),
        one.user_id ?? '–',
        one.comment ?? '–',
        time(one.used_at, { isShort: true, none: one.status === 'approved' ? 'not yet' : '–' }),
      ]),
    empty: empty(status ? 'None was decided like that' : 'Nothing was decided yet'),
  })}
  ${pager({ total, limit, offset, link: (query) => visit.link('/escalations', { status, ...query }) })}`

export function escalationPage(visit: Visit, one: Escalation, refused: Refused | null): Content {
  const isPending = one.status === 'pending'
  const mayDecide = visit.may('escalations:decide')
  return html`${summary(refused)}
    ${whatIsKnown(visit, one)}
    ${
      !isPending
        ? html`<p class="quiet">What it said was destroyed when it was decided, or too late.</p>`
        : mayDecide
          ? html`${heading('What it says')}
            ${advice(html`<p>Reading what the call says is recorded in the audit log, with your name, every time.</p>`)}
            <form method="post" action="${visit.link(`/escalations/${one.id}/content`)}"><button class="button primary">Read what it says</button></form>
            ${decision(visit, one)}`
          : html`<p class="quiet">Who has the role arbiter reads what it says, and decides.</p>`
    }`
}

export const whatIsKnown = (visit: Visit, one: Escalation): Content =>
  facts([
    ['State', state(one)],
    ['Held since', time(one.created_at)],
    one.status === 'pending' ? ['Waits still', left(one, visit.now)] : null,
    one.status === 'approved' ? ['The approval can be used until', time(one.expires_at)] : null,
    seesSeveral(visit) ? ['Tenant', tenantName(visit, one.tenant_id)] : null,
    ['Model', code(one.model)],
    ['Endpoint', one.endpoint ?? one.dialect],
    ['Key', code(one.key_prefix)],
    one.agent_id === null ? null : ['Agent', html`<a href="${visit.link(`/agents/${one.agent_id}`)}">${code(one.agent_id)}</a>`],
    ['User, as the caller says', one.user_id],
    ['Rules', html`${one.rules_triggered.map((id) => html`<a href="${visit.link(`/rules/${id}`)}">${code(id)}</a> `)}(version ${one.policy_version})`],
    ['Request', code(one.request_id)],
    visit.may('audit:read') ? ['Entry', html`<a href="${visit.link(`/exchanges/${one.audit_id}`)}">${code(one.audit_id)}</a>`] : null,
    ['Hash of the body', code(one.body_hash)],
    one.decided_at === null ? null : ['Decided', html`${time(one.decided_at)} by ${one.decided_by ?? 'nobody'}`],
    one.comment === null ? null : ['Comment', one.comment],
    one.status === 'approved' ? ['Used', time(one.used_at, { none: 'not yet' })] : null,
  ])

/** One form, two buttons: whichever is pressed takes the comment along. */
export const decision = (visit: Visit, { id }: Escalation): Content =>
  html`${heading('Decide')}
    <p>Approved, exactly this call is sent, once and as it is: also what a REDACT rule would have cut. Denied, the same caller gets the same answer for an hour.</p>
    <form class="form" method="post" action="${visit.link(`/escalations/${id}/approve`)}">
      ${textField({ name: 'comment', label: 'Comment', value: visit.form.get('comment'), hint: 'Why, for the record. Whoever called does not see it.', charactersMax: 500 })}
      <div class="actions"><button class="button primary">Approve it</button><button class="button danger" formaction="${visit.link(`/escalations/${id}/deny`)}">Deny it</button></div>
    </form>`
