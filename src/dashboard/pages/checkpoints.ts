/** What makes the audit log provable: signed checkpoints, their key, a look at the newest entries, and files for those who trust nobody. */
import type { Refused } from '../api.ts'
import { type Content, html } from '../html.ts'
import { download, type Page, type Reply, type Visit, view } from '../page.ts'
import { heading, linkButton, pager, postButton } from '../parts/controls.ts'
import { summary } from '../parts/field-groups.ts'
import { code, exact, time } from '../parts/figures.ts'
import { empty, problem, told } from '../parts/notice.ts'
import { table } from '../parts/table.ts'

interface Checkpoint {
  tree_size: number
  root: string
  note: string
  created_at: string
}

interface Found {
  checkpoints: Checkpoint[]
  total: number
  limit: number
  offset: number
  origin: string
  public_key: string
}

interface Verified {
  verified: boolean
  entries: number
  covered: number
  not_yet_covered: number
  tree_size: number
  problems: { audit_id: string | null; problem: string }[]
}

const PAGE = 25
const VERIFIED_MAX = 10_000
const PROBLEMS_SHOWN = 50

export const checkpointPages: readonly Page[] = [
  { path: '/checkpoints', nav: { label: 'Checkpoints', group: 'Govern', scope: 'audit:read' }, get: async (visit) => shown(visit, {}) },
  { path: '/checkpoints/verify', get: async (visit) => shown(visit, {}), post: verify },
  { path: '/checkpoints/export', get: exported },
]

async function shown(visit: Visit, { verified = null, refused = null }: { verified?: Verified | null; refused?: Refused | null }): Promise<Reply> {
  const found = await visit.api.get<Found>('/v1/audit/checkpoints', { limit: PAGE, offset: visit.query.get('offset') })
  return view('Checkpoints', page(visit, found, { verified, refused }), { status: refused?.status ?? 200 })
}

async function verify(visit: Visit): Promise<Reply> {
  const answer = await visit.api.ask<Verified>('GET', '/v1/audit/verify', { query: { limit: VERIFIED_MAX } })
  return shown(visit, answer.ok ? { verified: answer.json } : { refused: answer })
}

async function exported(visit: Visit): Promise<Reply> {
  const isCsv = visit.query.get('format') === 'csv'
  const isComplete = visit.query.get('complete') === 'true'
  const answer = await visit.api.download('/v1/audit/export', { format: isCsv ? 'csv' : 'jsonl', ...(isComplete ? { complete: true } : { kind: 'all' }) })
  return download(answer, `earthflow-audit-${visit.now.toISOString().slice(0, 10)}.${isCsv ? 'csv' : 'jsonl'}`)
}

function page(visit: Visit, found: Found, { verified, refused }: { verified: Verified | null; refused: Refused | null }): Content {
  const file = (query: Record<string, string>): string => visit.link('/checkpoints/export', query)
  const isWhole = visit.me.tenant_id === null && visit.tenantId === null
  return html`${summary(refused)}${verified === null ? null : outcome(visit, verified)}
    <p class="lead">Every ten seconds in which something was recorded, all new entries are put under one Merkle tree, whose head is signed. Whoever keeps a checkpoint and the public key elsewhere can show that nothing before it was changed, and need not trust this server.</p>
    ${heading('Verify', postButton({ action: visit.link('/checkpoints/verify'), label: 'Verify now', isPrimary: true }))}
    <p>Looks whether the newest ${exact(VERIFIED_MAX)} entries say what was logged, and stand in the tree that the newest checkpoint signs. <code>earthflow audit verify</code> looks at all of them.</p>
    ${heading('The public key')}
    <div class="secret-box"><code id="public-key" class="wrap">${found.public_key}</code><button type="button" class="button" data-copy="public-key" hidden>Copy</button></div>
    <p class="quiet">Of the log ${code(found.origin)}. Keep the key where this installation cannot change it; AUDIT_CHECKPOINT_SINK sends checkpoints to such a place.</p>
    ${heading('Export')}
    <div class="actions">
      ${linkButton(file({ format: 'jsonl' }), 'Entries with their proofs (JSONL)')}
      ${linkButton(file({ format: 'csv' }), 'Entries (CSV)')}
      ${isWhole ? linkButton(file({ format: 'jsonl', complete: 'true' }), 'The complete log (JSONL)') : null}
    </div>
    <p class="quiet">Elsewhere, without us: <code>earthflow audit verify --file FILE --public-key KEY</code>${isWhole ? '.' : html`, with <code>--whole</code> for all of a tenant’s entries.`}</p>
    ${
      visit.may('audit:erase')
        ? html`${heading('Erase a person', linkButton(visit.link('/checkpoints/erase'), 'Erase a person'))}
          <p>Takes what is said of one user out of a tenant’s entries. What remains still verifies.</p>`
        : null
    }
    ${heading('Checkpoints')}
    ${table({
      caption: 'Signed checkpoints, newest first',
      columns: [{ label: 'Signed' }, { label: 'Entries', isNumber: true }, { label: 'Root' }, { label: 'Checkpoint' }],
      rows: found.checkpoints.map((one) => [
        time(one.created_at),
        exact(one.tree_size),
        html`<code class="wrap">${one.root}</code>`,
        html`<details><summary>Show</summary><pre class="text" tabindex="0">${one.note}</pre></details>`,
      ]),
      empty: empty('There is no checkpoint yet', html`<p>The first is signed some seconds after the first entry: send a call.</p>`),
    })}
    ${pager({ ...found, link: (query) => visit.link('/checkpoints', query) })}`
}

function outcome(visit: Visit, { verified, entries, covered, not_yet_covered: late, tree_size: size, problems }: Verified): Content {
  if (verified)
    return told(
      `Verified: the newest ${exact(entries)} entries say what was logged. ${exact(covered)} of them stand in the tree of ${exact(size)}${late > 0 ? `; ${exact(late)} follow with the next checkpoint` : ''}.`,
    )
  return html`${problem(html`Not verified: something was changed, or is missing. Keep what there is, and run <code>earthflow audit verify</code>, which names all of it.`)}
    ${table({
      caption: 'What is wrong',
      isCaptionShown: true,
      columns: [{ label: 'Entry' }, { label: 'Problem' }],
      rows: problems
        .slice(0, PROBLEMS_SHOWN)
        .map((one) => [one.audit_id === null ? '–' : html`<a href="${visit.link(`/exchanges/${one.audit_id}`)}">${code(one.audit_id)}</a>`, one.problem]),
      empty: null,
    })}
    ${problems.length > PROBLEMS_SHOWN ? html`<p class="quiet">And ${exact(problems.length - PROBLEMS_SHOWN)} more.</p>` : null}`
}
