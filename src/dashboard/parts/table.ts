/** Tables, with their caption and the heads of their columns, and lists of facts. */
import { type Content, type Html, html } from '../html.ts'

export interface Column {
  label: string
  /** Numbers stand to the right, figure below figure. */
  isNumber?: boolean
  /** Of a column of buttons: its head is for screen readers alone. */
  isQuiet?: boolean
}

export interface TableOptions {
  /** What the table holds; shown to screen readers, and to everybody where the page says it nowhere else. */
  caption: string
  isCaptionShown?: boolean
  columns: readonly Column[]
  /** A cell for each column. The first names its row. */
  rows: readonly (readonly Content[])[]
  /** Instead of a table without rows. */
  empty: Content
}

/** On a narrow screen it scrolls sideways by itself, and can be reached and scrolled by keyboard. */
export function table({ caption, isCaptionShown = false, columns, rows, empty }: TableOptions): Content {
  if (rows.length === 0) return empty
  return html`<div class="table-box" role="region" aria-label="${caption}" tabindex="0"><table>
    <caption${isCaptionShown ? null : html` class="unseen"`}>${caption}</caption>
    <thead><tr>${columns.map(({ label, isNumber, isQuiet }) => html`<th scope="col"${isNumber ? html` class="number"` : null}>${isQuiet ? html`<span class="unseen">${label}</span>` : label}</th>`)}</tr></thead>
    <tbody>${rows.map((cells) => html`<tr>${cells.map((cell, at) => cellOf(cell, columns[at], at === 0))}</tr>`)}</tbody>
  </table></div>`
}

function cellOf(cell: Content, column: Column | undefined, isName: boolean): Html {
  const css = column?.isNumber ? html` class="number"` : column?.isQuiet ? html` class="row-actions"` : null
  return isName ? html`<th scope="row"${css}>${cell}</th>` : html`<td${css}>${cell}</td>`
}

/** Names and what they are. */
export const facts = (all: readonly (readonly [name: string, value: Content] | null)[]): Html =>
  html`<dl class="facts">${all.map((one) => one && html`<div><dt>${one[0]}</dt><dd>${one[1] ?? html`<span class="quiet">none</span>`}</dd></div>`)}</dl>`
