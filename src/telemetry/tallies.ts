/**
 * Counters and histograms for what happens with every call. A part of one, for certain values of its labels, is a plain object that whoever counts may hold
 * on to; prom-client would look it up each time by a text of all its labels.
 */
import type { Metric, Registry } from 'prom-client'
import type { MetricFigures } from './sum-figures.ts'

export interface TallyOptions {
  name: string
  help: string
  labels?: readonly string[]
}

type Labels = Readonly<Record<string, string>>
type Values = MetricFigures['values']

/** What all counters and histograms have: parts, and a page of them as prom-client's registry asks for it. */
abstract class Tally<Part> {
  readonly name: string
  readonly #help: string
  readonly labels: readonly string[]
  /** By the values of the labels, one after the other. */
  readonly #tree: Tree<Part> = new Map()
  readonly #parts: { labels: Labels; part: Part }[] = []
  protected abstract readonly type: 'counter' | 'histogram'

  constructor({ name, help, labels = [] }: TallyOptions) {
    this.name = name
    this.#help = help
    this.labels = labels
  }

  /** For these values of its labels, in their order; made when first asked for, and there to be seen from then on. */
  part(first = '', second = '', third = '', fourth = ''): Part {
    const leaves = below(below(below(this.#tree, first), second), third)
    const known = leaves.get(fourth)
    if (known) return known
    const values = [first, second, third, fourth]
    const labels = Object.fromEntries(this.labels.map((label, i) => [label, values[i]]))
    const part = this.made()
    leaves.set(fourth, part)
    this.#parts.push({ labels, part })
    return part
  }

  async get(): Promise<MetricFigures> {
    const values = this.#parts.flatMap(({ labels, part }) => this.valuesOf(part, labels))
    return { name: this.name, help: this.#help, type: this.type, aggregator: 'sum', values }
  }

  protected abstract made(): Part
  protected abstract valuesOf(part: Part, labels: Labels): Values
}

type Tree<Part> = Map<string, Map<string, Map<string, Map<string, Part>>>>

function below<Key, Value>(tree: Map<string, Map<Key, Value>>, key: string): Map<Key, Value> {
  const known = tree.get(key)
  if (known) return known
  const made = new Map<Key, Value>()
  tree.set(key, made)
  return made
}

/** Only grows. */
export class Count {
  value = 0
  add(more = 1): void {
    this.value += more
  }
}

export class Counts extends Tally<Count> {
  protected readonly type = 'counter'
  protected made(): Count {
    return new Count()
  }
  protected valuesOf({ value }: Count, labels: Labels): Values {
    return [{ value, labels: { ...labels } }]
  }
}

export class Distribution {
  readonly #bounds: readonly number[]
  /** How many were at most each bound, and above the one before it; the last ones were above all. */
  readonly #counts: number[]
  sum = 0
  count = 0
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }
  observe(value: number): void {
    let at = 0
    while (at < this.#bounds.length && value > this.#bounds[at]) at++
    this.#counts[at]++
    this.sum += value
    this.count++
  }
  /** How many were at most this bound. */
  upTo(at: number): number {
    let sum = 0
    for (let i = 0; i <= at; i++) sum += this.#counts[i]
    return sum
  }
}

export class Distributions extends Tally<Distribution> {
  protected readonly type = 'histogram'
  readonly #bounds: readonly number[]
  constructor(options: TallyOptions & { bounds: readonly number[] }) {
    super(options)
    this.#bounds = options.bounds
  }
  protected made(): Distribution {
    return new Distribution(this.#bounds)
  }
  protected valuesOf(part: Distribution, labels: Labels): Values {
    const metricName = `${this.name}_bucket`
    return [
      ...this.#bounds.map((le, at) => ({ value: part.upTo(at), labels: { le, ...labels }, metricName })),
      { value: part.count, labels: { le: '+Inf', ...labels }, metricName },
      { value: part.sum, labels: { ...labels }, metricName: `${this.name}_sum` },
      { value: part.count, labels: { ...labels }, metricName: `${this.name}_count` },
    ]
  }
}

/** Puts it on this registry's page, which asks a metric for nothing but its name and its values. What has no labels is seen from the start. */
export function showOn<Shown extends Counts | Distributions>(registry: Registry, tally: Shown): Shown {
  if (tally.labels.length === 0) tally.part()
  registry.registerMetric(tally as unknown as Metric)
  return tally
}
