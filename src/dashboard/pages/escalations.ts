/** Calls that wait for a person: what is known of them, what they say, and the decision. */
import type { Refused } from '../api.ts'
import { type Page, part, type Reply, redirect, type Visit, view } from '../page.ts'
import { live } from '../parts/controls.ts'
import { contentPage, type Content as Said } from './escalation-content.ts'
import { decidedTable, type Escalation, type EscalationsFound, escalationPage, escalationsPage, waitingPart } from './escalations-view.ts'

const WAITING_MAX = 200
const PAGE = 50
const LIVE_SECONDS = 2

export const escalationPages: readonly Page[] = [
  { path: '/escalations', nav: { label: 'Escalations', group: 'Watch', scope: 'escalations:read' }, get: list },
  { path: '/escalations/:id', get: async (visit) => shown(visit, null) },
  // A look is recorded, so that nothing but somebody's button may look.
  { path: '/escalations/:id/content', get: async (visit) => redirect(visit.link(`/escalations/${visit.params.id}`)), post: look },
  { path: '/escalations/:id/approve', post: (visit) => decide(visit, 'approve') },
  { path: '/escalations/:id/deny', post: (visit) => decide(visit, 'deny') },
]

async function list(visit: Visit): Promise<Reply> {
  const waiting = waitingPart(visit, await visit.api.get<EscalationsFound>('/v1/escalations', { status: 'pending', limit: WAITING_MAX }))
  if (visit.isPart) return part(waiting)
  const status = visit.query.get('status')
  const found = await visit.api.get<EscalationsFound>('/v1/escalations', { limit: PAGE, offset: visit.query.get('offset'), status })
  return view(
    'Escalations',
    escalationsPage(visit, {
      waiting: live({ id: 'waiting', source: visit.link('/escalations'), seconds: LIVE_SECONDS, content: waiting }),
      decided: decidedTable(visit, found, status),
      status,
    }),
  )
}

const api = (visit: Visit, more = ''): string => `/v1/escalations/${encodeURIComponent(visit.params.id ?? '')}${more}`
const found = (visit: Visit): Promise<Escalation> => visit.api.get<Escalation>(api(visit))

async function shown(visit: Visit, refused: Refused | null): Promise<Reply> {
  return view('A call that waits for a person', escalationPage(visit, await found(visit), refused), { status: refused?.status ?? 200 })
}

async function look(visit: Visit): Promise<Reply> {
  const answer = await visit.api.ask<{ escalation: Escalation; content: Said }>('GET', api(visit, '/content'))
  return answer.ok ? view('What the call says', contentPage(visit, answer.json.escalation, answer.json.content)) : shown(visit, answer)
}

async function decide(visit: Visit, verb: 'approve' | 'deny'): Promise<Reply> {
  const answer = await visit.api.ask<Escalation>('POST', api(visit, `/${verb}`), { body: { comment: (visit.form.get('comment') ?? '').trim() || null } })
  if (!answer.ok) return shown(visit, answer)
  const said = verb === 'approve' ? 'The call is approved: it goes on if it waits, or passes once when it is sent again.' : 'The call is denied.'
  return redirect(visit.link('/escalations'), said)
}
