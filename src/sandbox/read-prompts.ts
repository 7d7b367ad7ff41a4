import { UnreadableAsk } from './played-dialect.ts'
import { items, member } from './read-body.ts'

/** The texts of a prompt; one that is written in tokens reads as their numbers. Throws UnreadableAsk where there is none. */
export function readPrompts(body: unknown, name: 'prompt' | 'input'): string[] {
  const prompt = member(body, name)
  const list = typeof prompt === 'string' || typeof items(prompt)[0] === 'number' ? [prompt] : items(prompt)
  if (list.length === 0) throw new UnreadableAsk(`${name}: a string or a list of at least one is required`, name)
  return list.map((one) => (typeof one === 'string' ? one : (member(one, 'text')?.toString() ?? items(one).join(' '))))
}
