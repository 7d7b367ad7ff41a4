import { type Html, html } from '../html.ts'

export interface Tab {
  label: string
  href: string
  isHere: boolean
}

/** Ways to look at the same list. */
export const tabs = (label: string, all: readonly Tab[]): Html =>
  html`<nav class="tabs" aria-label="${label}"><ul>${all.map((one) => html`<li><a href="${one.href}"${one.isHere ? html` aria-current="true"` : null}>${one.label}</a></li>`)}</ul></nav>`
