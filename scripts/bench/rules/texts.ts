/** Texts to measure with: the same in every run. */

const SENTENCES = [
  'Please summarise the meeting notes below in three short paragraphs and keep the tone friendly.',
  'The team discussed the roadmap for the next two quarters, the open questions about the migration, and who will take over the support rota.',
  'Everybody agreed that the documentation needs an owner, and that the examples should be tested with every release.',
  'A few people asked whether the new search could be made faster; the answer was that an index would help.',
  'Half of the group is away in the second week, so the review of the design moves to the Tuesday after.',
  'Nobody objected to the plan, but the budget for the workshop has to be confirmed before anything is booked.',
]
const CODE = `export function parse(input: string): Result {
  const tokens = tokenize(input).filter((token) => token.kind !== 'space')
  if (tokens.length === 0) return { kind: 'empty', value: null }
  for (let i = 0; i < tokens.length; i++) {
    const next = tokens[i + 1]
    if (next?.kind === 'operator' && next.value === '=') assign(tokens[i], next, 12)
  }
  return build(tokens, { strict: true, depth: 64 })
}
`

/** Ordinary prose of so many bytes. */
export function prose(bytes: number): string {
  let text = ''
  for (let i = 0; text.length < bytes; i++) text += `${SENTENCES[(i * 5 + 1) % SENTENCES.length]} `
  return text.slice(0, bytes)
}

/** A conversation of a coding agent: so many turns, the tools' answers being files. The last turn is new in each. */
export function agentMessages(bytes: number, turns: number): { role: string; content: string }[] {
  const each = Math.floor(bytes / turns)
  return Array.from({ length: turns }, (_, i) => {
    const text = i % 2 === 0 ? prose(each) : CODE.repeat(Math.ceil(each / CODE.length)).slice(0, each)
    return { role: i % 2 === 0 ? 'user' : 'assistant', content: `${i} ${text}` }
  })
}

/** Words that nobody writes, always the same. */
export function words(count: number): string[] {
  const letters = 'abcdefghijklmnopqrstuvwxyz'
  let seed = 7
  const next = (): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
    return seed >>> 8
  }
  return Array.from({ length: count }, () => Array.from({ length: 10 + (next() % 6) }, () => letters[next() % letters.length]).join(''))
}

/** Patterns such as administrators write, no two alike. */
export const patterns = (count: number): string[] =>
  words(count).map((word, i) => [`\\b${word}\\b`, `${word}\\s+\\d{2,4}`, `(?:${word}|${word}s)\\b`, `${word}[-_ ]?key`][i % 4])
