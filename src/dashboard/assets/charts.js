/** Draws what `data-chart` says, in the colours of the page and the width it has. */
const HEIGHT = 220
const BAR_WIDTH = 0.7
const BAR_PIXELS_MAX = 40
const drawn = new Map()

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
const toneColour = (tone) => colour(tone === 'plain' ? 'line-strong' : tone)

/** Bars stand on each other: each is drawn as the sum of those up to it, the largest first. */
function stacked(series) {
  const sums = []
  let below = null
  for (const { values } of series) {
    below = values.map((value, at) => value + (below?.[at] ?? 0))
    sums.push(below)
  }
  return sums
}

const dayName = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })
const hourName = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const DAY_SECONDS = 86_400

/** Hours by their time, and days by their date. */
function nameOf(at, step) {
  const date = new Date(at * 1_000)
  const isDay = step >= DAY_SECONDS || (date.getHours() === 0 && date.getMinutes() === 0)
  return (isDay ? dayName : hourName).format(date)
}

function optionsFor({ kind, unit, series, x }, width) {
  // A bar stands for the time that begins with its point.
  const step = kind === 'bars' ? (x.at(-1) - x[0]) / Math.max(1, x.length - 1) : 0
  const axis = { stroke: colour('quiet'), font: '12px system-ui, sans-serif', grid: { stroke: colour('line'), width: 1 }, ticks: { stroke: colour('line') } }
  const bars = uPlot.paths.bars({ size: [BAR_WIDTH, BAR_PIXELS_MAX], align: 1 })
  const ordered = kind === 'bars' ? [...series].reverse() : series
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { range: (_, least, most) => [least, most + step] }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.05)] } },
    axes: [
      { ...axis, size: 32, space: 64, values: (_, ticks, __, ___, between) => ticks.map((tick) => nameOf(tick, between)) },
      { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => `${tick.toLocaleString()}${unit === '' ? '' : ` ${unit}`}`) },
    ],
    series: [
      {},
      ...ordered.map(({ label, tone }) =>
        kind === 'bars'
          ? { label, fill: toneColour(tone), stroke: toneColour(tone), width: 0, paths: bars, points: { show: false } }
          : { label, stroke: toneColour(tone), width: 2, points: { show: false } },
      ),
    ],
  }
}

function draw(element) {
  drawn.get(element)?.destroy()
  const data = JSON.parse(element.dataset.chart)
  const columns = data.kind === 'bars' ? stacked(data.series).reverse() : data.series.map(({ values }) => values)
  const width = element.clientWidth
  if (width > 0 && data.x.length > 0) drawn.set(element, new uPlot(optionsFor(data, width), [data.x, ...columns], element))
}

function drawAll() {
  for (const [element, chart] of drawn) {
    if (element.isConnected) continue
    chart.destroy()
    drawn.delete(element)
  }
  for (const element of document.querySelectorAll('[data-chart]')) if (!drawn.has(element)) draw(element)
}

drawAll()
new MutationObserver(drawAll).observe(document.querySelector('main'), { childList: true, subtree: true })

const again = () => [...drawn.keys()].forEach(draw)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again)
let width = window.innerWidth
window.addEventListener('resize', () => {
  if (window.innerWidth === width) return
  width = window.innerWidth
  again()
})
