/** Which rules were in force when, what changed from one version to the next, and how to go back. */
import type { MemberChange, PolicyDiff, Versions } from '../answers.ts'
import type { Refused } from '../api.ts'
import { type Content, type Html, html } from '../html.ts'
import { type Page, redirect, type View, type Visit, view } from '../page.ts'
import { heading, pager, postButton } from '../parts/controls.ts'
import { badge, time } from '../parts/figures.ts'
import { empty, refusal } from '../parts/notice.ts'
import { table } from '../parts/table.ts'
import { ruleTabs } from './rule-tabs.ts'
import { needsTenant } from './tenant-needed.ts'

const LIMIT = 50
const WHY = 'Versions are those of one tenant’s rules.'

const listPage: Page = {
  path: '/rules/versions',
  async get(visit) {
    if (visit.tenantId === null) return needsTenant(visit, 'Versions', WHY)
    const offset = Number(visit.query.get('offset') ?? 0) || 0
    const { versions, total } = await visit.api.get<Versions>('/v1/rules/versions', { limit: LIMIT, offset })
    return view(
      'Versions of the policy',
      html`${ruleTabs(visit)}
      <p class="quiet">Every change of a rule makes a version. Calls are logged with the version they were judged by.</p>
      ${table({
        caption: 'Versions, newest first',
        columns: [{ label: 'Version' }, { label: 'Made' }, { label: 'By' }],
        rows: versions.map(({ version, created_at, created_by }, at) => [
          html`<a href="${visit.link(`/rules/versions/${version}`)}">Version ${version}</a>${at === 0 && offset === 0 ? html` ${badge('in force', 'good')}` : null}`,
          time(created_at),
          created_by,
        ]),
        empty: empty('There is no version yet', html`<p>The first rule makes one.</p>`),
      })}
      ${pager({ total, limit: LIMIT, offset, link: (more) => visit.link('/rules/versions', more) })}`,
    )
  },
}

const onePage: Page = {
  path: '/rules/versions/:version',
  get: async (visit) => shown(visit, null),
  async post(visit) {
    const answer = await visit.api.ask<{ policy_version: number }>('POST', `${pathOf(visit)}/restore`, { body: {} })
    return answer.ok
      ? redirect(visit.link('/rules'), `The rules of version ${visit.params.version} are in force again, as version ${answer.json.policy_version}.`)
      : shown(visit, answer)
  },
}

const pathOf = ({ params }: Visit): string => `/v1/rules/versions/${encodeURIComponent(params.version ?? '')}`

interface Restored {
  diff: PolicyDiff
}

async function shown(visit: Visit, refused: Refused | null): Promise<View> {
  const title = `Version ${visit.params.version}`
  if (visit.tenantId === null) return needsTenant(visit, title, WHY)
  const { diff } = await visit.api.get<{ diff: PolicyDiff }>(`${pathOf(visit)}/diff`)
  const trial = visit.may('rules:write')
    ? await visit.api.ask<Restored>('POST', `${pathOf(visit)}/restore`, { query: { dry_run: true }, body: {}, isTrial: true })
    : null
  return view(
    title,
    html`${ruleTabs(visit)}
    ${refusal(refused)}
    ${heading('What it changed')}
    ${difference(diff, 'It changed nothing')}
    ${
      trial?.ok
        ? html`${heading(
            'What going back to it would change',
            isNone(trial.json.diff)
              ? null
              : postButton({
                  action: visit.link(visit.path),
                  label: 'Restore this version',
                  confirm: `Put the rules of version ${visit.params.version} in force again?`,
                  isPrimary: true,
                }),
          )}${difference(trial.json.diff, 'Nothing: these rules are in force')}`
        : null
    }`,
    { status: refused?.status ?? 200 },
  )
}

const isNone = ({ added, removed, changed, dictionaries }: PolicyDiff): boolean =>
  [added, removed, changed, dictionaries.added, dictionaries.removed, dictionaries.changed].every((all) => all.length === 0)

function difference(diff: PolicyDiff, none: string): Content {
  if (isNone(diff)) return empty(none)
  const { added, removed, changed, dictionaries } = diff
  return html`<ul class="diff">${[
    added.map(({ name }) => html`<li class="added">${badge('added', 'good')} ${name}</li>`),
    removed.map(({ name }) => html`<li class="removed">${badge('removed', 'bad')} ${name}</li>`),
    changed.map(
      ({ name, diff: members }) =>
        html`<li>${badge('changed', 'info')} ${name}${table({
          caption: `What changed of ${name}`,
          columns: [{ label: 'Member' }, { label: 'Before' }, { label: 'After' }],
          rows: members.map((one) => [html`<code>${one.path}</code>`, side(one, 'from'), side(one, 'to')]),
          empty: null,
        })}</li>`,
    ),
    dictionaries.added.map((name) => html`<li>${badge('added', 'good')} dictionary ${name}</li>`),
    dictionaries.removed.map((name) => html`<li>${badge('removed', 'bad')} dictionary ${name}</li>`),
    dictionaries.changed.map(
      (one) => html`<li>${badge('changed', 'info')} dictionary ${one.name}: ${one.terms_added} terms more, ${one.terms_removed} fewer</li>`,
    ),
  ]}</ul>`
}

function side(change: MemberChange, which: 'from' | 'to'): Html {
  if (!(which in change)) return html`<span class="quiet">none</span>`
  const value = html`<code>${JSON.stringify(change[which])}</code>`
  return which === 'from' ? html`<del>${value}</del>` : html`<ins>${value}</ins>`
}

export const versionPages: readonly Page[] = [listPage, onePage]
