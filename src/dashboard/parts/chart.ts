/** Charts: drawn by uPlot where there is JavaScript, and in any case there as a table. */
import { type Content, type Html, html } from '../html.ts'
import { exact, time } from './figures.ts'
import { table } from './table.ts'

export interface Series {
  label: string
  /** Of the colours of verdicts. */
  tone: 'good' | 'warning' | 'bad' | 'info' | 'special' | 'plain' | 'accent'
  values: readonly number[]
}

export interface ChartOptions {
  /** What is seen, in a few words. */
  label: string
  /** Where each point begins, ISO 8601. */
  starts: readonly string[]
  /** `bars` stand on each other. */
  kind: 'bars' | 'line'
  series: readonly Series[]
  /** Of the values, beside the axis: `USD`. */
  unit?: string
  /** How a value is written in the table. */
  format?: (value: number) => string
}

/** `charts.js` reads it from the element. Needs `scripts: ['charts']` of its view. */
export function chart({ label, starts, kind, series, unit = '', format = exact }: ChartOptions): Html {
  const drawn = { kind, unit, x: starts.map((start) => Date.parse(start) / 1_000), series }
  const shown = starts
    .map((start, at) => ({ start, cells: series.map(({ values }) => values[at] ?? 0) }))
    .filter(({ cells }) => cells.some((value) => value !== 0))
  return html`<figure class="chart">
    <figcaption>${label}</figcaption>
    ${legend(series)}
    <div class="plot" data-chart="${JSON.stringify(drawn)}" aria-hidden="true"></div>
    <details><summary>As a table</summary>${table({
      caption: label,
      columns: [{ label: 'From' }, ...series.map((one) => ({ label: one.label, isNumber: true }))],
      rows: shown.map(({ start, cells }) => [time(start), ...cells.map(format)]),
      empty: html`<p class="quiet">Nothing happened in this time.</p>`,
    })}</details>
  </figure>`
}

const legend = (series: readonly Series[]): Content =>
  series.length < 2 ? null : html`<ul class="legend">${series.map(({ label, tone }) => html`<li class="${tone}">${label}</li>`)}</ul>`
