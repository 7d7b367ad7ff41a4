/** What calls say. Plain ASCII, in which no detector and no preset finds anything. */
export const SENTENCE = 'The quick brown fox jumps over the lazy dog while the river runs slowly towards the sea. '

/** As an agent's tools read it from files. */
export const AGENT_LINES = [
  'export function totalOf(items: readonly Item[]): number {',
  '  return items.reduce((sum, item) => sum + item.price * item.count, 0)',
  '}',
  '',
  '// Sorted by name, so that two runs print the same list.',
  'const names = [...byName.keys()].toSorted((a, b) => a.localeCompare(b))',
  'for (const name of names) print(name.padEnd(20), byName.get(name))',
  '',
  'The test fails in the second case: the list is empty there, and the first element is read all the same.',
  'I will change the loop so that it ends when there is nothing left, and then run the tests again.',
  '',
]
