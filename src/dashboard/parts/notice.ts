/** What is said above the rest: that something was done, that something is wrong, that there is nothing yet. */
import type { Refused } from '../api.ts'
import { type Content, type Html, html } from '../html.ts'

/** Was done. */
export const told = (sentence: string): Html => html`<div class="notice done" role="status">${sentence}</div>`

/** Is wrong. `requestId` finds the entry in Earthflow's log. */
export const problem = (content: Content, requestId = ''): Html =>
  html`<div class="notice wrong" role="alert"><p>${content}</p>${requestId === '' ? null : html`<p class="quiet">Request <code>${requestId}</code></p>`}</div>`

/** Why the API did not do it; nothing where it did. */
export const refusal = (refused: Refused | null): Content => refused && problem(refused.message, refused.requestId)

/** To be known, and no fault. */
export const advice = (content: Content): Html => html`<div class="notice advice">${content}</div>`

/** There is nothing yet: says so, and what to do about it. */
export const empty = (title: string, content: Content = null): Html => html`<div class="empty"><p class="empty-title">${title}</p>${content}</div>`
