/** Numbers, times and states, as people read them. */
import { type Content, type Html, html } from '../html.ts'

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const SHORT_FROM = 100_000
const LOCALE_DIGITS = { small: 4, usual: 2 } as const

/** `1,234`; from a hundred thousand `123.5K`. */
export const count = (value: number): string => (Math.abs(value) < SHORT_FROM ? whole.format(value) : short.format(value))
/** Every digit: `1,234,567`. */
export const exact = (value: number): string => whole.format(value)
/** Of a share 0..1: `12.3 %`. */
export const percent = (share: number): string => `${(share * 100).toFixed(share !== 0 && share < 0.1 ? 2 : 1)} %`
/** Milliseconds: `3.2 ms`, `840 ms`, `1.25 s`. */
export const duration = (ms: number | null): string =>
  ms === null ? '–' : ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(2)} s`
/** US dollars from a decimal number: `$1.23`, and of less than a dollar four places. */
export function money(amount: string | number | null): string {
  if (amount === null) return '–'
  const value = Number(amount)
  const digits = value !== 0 && Math.abs(value) < 1 ? LOCALE_DIGITS.small : LOCALE_DIGITS.usual
  return `$${value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })}`
}

/** In the zone of whoever reads it, by `times.js`; without it in UTC. `isShort` leaves the day out where it is today. */
export function time(iso: string | null, { isShort = false, none = '–' }: { isShort?: boolean; none?: string } = {}): Content {
  if (iso === null) return none
  const text = new Date(iso).toISOString()
  return html`<time datetime="${text}"${isShort ? html` data-short` : null}>${text.slice(0, 10)} ${text.slice(11, 19)} UTC</time>`
}

export type Tone = 'good' | 'warning' | 'bad' | 'info' | 'special' | 'plain'

const tones: Readonly<Record<string, Tone>> = {
  ALLOW: 'good',
  WARN: 'warning',
  REDACT: 'special',
  ESCALATE: 'info',
  BLOCK: 'bad',
  REJECTED: 'plain',
}
const words: Readonly<Record<string, string>> = {
  ALLOW: 'Allowed',
  WARN: 'Warned',
  REDACT: 'Redacted',
  ESCALATE: 'Escalated',
  BLOCK: 'Blocked',
  REJECTED: 'Rejected',
}

/** A state, by its word and a colour. */
const named = (css: string, tone: Tone): string => (tone === 'plain' ? css : `${css} ${tone}`)
export const badge = (word: string, tone: Tone = 'plain'): Html => html`<span class="${named('badge', tone)}">${word}</span>`
/** What became of a call. */
export const verdict = (status: string | null): Content => (status === null ? '–' : badge(words[status] ?? status, tones[status] ?? 'plain'))
/** What a rule does. */
export const action = (name: string): Html => badge(name, tones[name] ?? 'plain')

/** A figure with its name, large. `note` says what it is of. */
export const tile = (label: string, value: Content, note: Content = null, tone: Tone = 'plain'): Html =>
  html`<div class="${named('tile', tone)}"><dt>${label}</dt><dd>${value}${note === null ? null : html`<span class="note">${note}</span>`}</dd></div>`
export const tiles = (all: readonly Content[]): Html => html`<dl class="tiles">${all}</dl>`

/** A name, or a mark that there is none. */
export const code = (text: string | null | undefined): Content => (text === null || text === undefined || text === '' ? '–' : html`<code>${text}</code>`)
