/** A bar chart as SVG, for light pages and dark ones. */
import { OFF, ON } from '../earthflow/configurations.ts'
import type { BenchResult } from '../result.ts'
import { type Summary, summarize } from './summary.ts'

const SHOWN: readonly { server: string; label: string }[] = [
  { server: 'nginx', label: 'nginx' },
  { server: 'haproxy', label: 'HAProxy' },
  { server: OFF, label: 'Earthflow, governance off' },
  { server: ON, label: 'Earthflow, governance on' },
  { server: 'portkey', label: 'Portkey' },
]
const PANELS: readonly { name: string; title: string }[] = [
  { name: 'plain', title: '1.5 KB calls a second, one core' },
  { name: '64k', title: '64 KB calls a second, one core' },
]
const WIDTH = 760
const LABEL_WIDTH = 200
const VALUE_WIDTH = 80
const BAR = 20
const GAP = 8
const TITLE = 34

interface Bar {
  label: string
  value: number
  isOurs: boolean
}

/** Null where nothing of what it shows was measured. */
export function drawChart(result: Pick<BenchResult, 'rounds'>): string | null {
  const summaries = summarize(result)
  const panels = PANELS.map(({ name, title }) => ({ title, bars: barsOf(summaries, name) })).filter(({ bars }) => bars.length > 0)
  if (panels.length === 0) return null
  const parts: string[] = []
  let y = 0
  for (const { title, bars } of panels) {
    parts.push(`<text class="title" x="0" y="${y + 20}">${escaped(title)}</text>`)
    y += TITLE
    const most = Math.max(...bars.map(({ value }) => value))
    for (const { label, value, isOurs } of bars) {
      const width = Math.max(1, Math.round(((WIDTH - LABEL_WIDTH - VALUE_WIDTH) * value) / most))
      const middle = y + BAR / 2 + 4
      parts.push(
        `<text x="${LABEL_WIDTH - 10}" y="${middle}" text-anchor="end">${escaped(label)}</text>`,
        `<rect class="${isOurs ? 'ours' : 'other'}" x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR}" rx="2"/>`,
        `<text class="value" x="${LABEL_WIDTH + width + 8}" y="${middle}">${count(value)}</text>`,
      )
      y += BAR + GAP
    }
    y += GAP * 2
  }
  const told = panels.map(({ title, bars }) => `${title}: ${bars.map(({ label, value }) => `${label} ${count(value)}`).join(', ')}.`).join(' ')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" aria-labelledby="title desc">
<title id="title">Earthflow beside other proxies</title>
<desc id="desc">${escaped(told)}</desc>
<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 15px }
.value { font-variant-numeric: tabular-nums }
.other { fill: #8c959f }
.ours { fill: #0a7d5a }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .other { fill: #6e7681 }
  .ours { fill: #2fb98a }
}
</style>
${parts.join('\n')}
</svg>
`
}

function barsOf(summaries: readonly Summary[], name: string): Bar[] {
  const rows = summaries.filter((one) => one.case === name)
  return SHOWN.flatMap(({ server, label }) => {
    const row = rows.find((one) => one.server === server) // the first set that has it
    return row ? [{ label, value: row.rps.median, isOurs: label.startsWith('Earthflow') }] : []
  })
}

const count = (value: number): string => Math.round(value).toLocaleString('en')
const escaped = (text: string): string => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
