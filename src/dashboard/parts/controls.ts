/** What people press: buttons that change something, pages of a list, what is copied. */
import type { Query } from '../api.ts'
import { type Content, type Html, html } from '../html.ts'
import { hidden } from './fields.ts'
import { exact, type Tone } from './figures.ts'

export interface PostButton {
  action: string
  label: string
  /** What it is about, for screen readers: `Delete` alone says nothing in a list. */
  about?: string
  /** Sent with it. */
  values?: Readonly<Record<string, string>>
  /** Is asked before. Whoever has no JavaScript is not asked. */
  confirm?: string
  isDangerous?: boolean
  isPrimary?: boolean
}

/** A form of one button. */
export const postButton = ({ action, label, about, values = {}, confirm, isDangerous = false, isPrimary = false }: PostButton): Html =>
  html`<form class="inline" method="post" action="${action}"${confirm ? html` data-confirm="${confirm}"` : null}>${Object.entries(values).map(([name, value]) => hidden(name, value))}<button class="button${isDangerous ? ' danger' : isPrimary ? ' primary' : ''}">${label}${about ? html`<span class="unseen"> ${about}</span>` : null}</button></form>`

export const linkButton = (href: string, label: string, { isPrimary = false, about = '' } = {}): Html =>
  html`<a class="button${isPrimary ? ' primary' : ''}" href="${href}">${label}${about === '' ? null : html`<span class="unseen"> ${about}</span>`}</a>`

/** A secret that is shown this once, with a button that copies it. */
export const secretOnce = (label: string, secret: string, why = 'It is shown only now. Keep it where it is safe; whoever has it can use it.'): Html =>
  html`<div class="secret" role="status">
    <p class="secret-label">${label}</p>
    <div class="secret-box"><code id="secret" data-secret>${secret}</code><button type="button" class="button" data-copy="secret" hidden>Copy</button></div>
    <p class="quiet">${why}</p>
  </div>`

export interface Pager {
  total: number
  limit: number
  offset: number
  /** The address of the page that begins at this offset. */
  link(query: Query): string
}

/** Nothing where everything is on one page. */
export function pager({ total, limit, offset, link }: Pager): Content {
  if (total <= limit && offset === 0) return null
  const last = Math.min(offset + limit, total)
  return html`<nav class="pager" aria-label="Pages">
    ${offset > 0 ? html`<a class="button" rel="prev" href="${link({ offset: Math.max(0, offset - limit) || null })}">Previous</a>` : null}
    <span class="quiet">${total === 0 ? 'none' : `${exact(offset + 1)}–${exact(last)} of ${exact(total)}`}</span>
    ${last < total ? html`<a class="button" rel="next" href="${link({ offset: offset + limit })}">Next</a>` : null}
  </nav>`
}

export interface Meter {
  label: string
  value: number
  of: number
  isBad?: boolean
  tone?: Tone
}

const METER_WIDTH = 100

/** How much of something is used, 0..1 of `of`; more is shown as full. */
export function meter({ label, value, of, isBad = false, tone = isBad ? 'bad' : 'plain' }: Meter): Html {
  const share = of <= 0 ? (value > 0 ? 1 : 0) : Math.min(1, Math.max(0, value / of))
  const width = Number((share * METER_WIDTH).toFixed(2))
  return html`<span class="meter ${tone}" role="meter" aria-label="${label}" aria-valuemin="0" aria-valuemax="${METER_WIDTH}" aria-valuenow="${Math.round(width)}"><svg viewBox="0 0 ${METER_WIDTH} 10" preserveAspectRatio="none" aria-hidden="true"><rect width="${width}" height="10"></rect></svg></span>`
}

/** A part that is asked for anew every so often while somebody looks (`live.js`). */
export const live = ({ id, source, seconds = 2, content }: { id: string; source: string; seconds?: number; content: Content }): Html =>
  html`<div id="${id}" data-live="${seconds}" hx-get="${source}" hx-trigger="live" hx-swap="innerHTML">${content}</div>`

/** The head of a page's section, with what can be done there. */
export const heading = (title: string, actions: Content = null): Html => html`<div class="heading"><h2>${title}</h2>${actions}</div>`
