/** The pages about rules. */
import { type Html, html } from '../html.ts'
import type { Visit } from '../page.ts'

const tabs = [
  { path: '/rules', label: 'Rules' },
  { path: '/rules/try', label: 'Try' },
  { path: '/rules/presets', label: 'Presets' },
  { path: '/rules/versions', label: 'Versions' },
] as const

export const ruleTabs = ({ path, link }: Visit): Html =>
  html`<nav class="tabs" aria-label="Rules">${tabs.map((one) => html`<a href="${link(one.path)}"${one.path === path ? html` aria-current="page"` : null}>${one.label}</a>`)}</nav>`
