/** The tables of an Aho-Corasick automaton: all phrases are found in one pass, whose cost does not depend on how many there are. */
export interface Automaton {
  /** By state + class of the next symbol: the next state doubled, with the lowest bit set where words end. One dependent load a symbol. */
  table: Int32Array
  /** How many symbols of a word are open, by row (state / width). */
  depth: Int32Array
  /** Which words end here, longest first, by row. */
  matches: readonly (readonly number[])[]
  width: number
}

/** Words are lists of symbol classes 1..width-1; class 0 is every symbol that no word holds. A state is the offset of its row. */
export function buildAutomaton(words: readonly (readonly number[])[], width: number): Automaton {
  const rows = words.reduce((sum, word) => sum + word.length, 1)
  const go = new Int32Array(rows * width)
  const depth = new Int32Array(rows)
  const matches: number[][] = [[]]
  let used = 1
  words.forEach((word, index) => {
    let state = 0
    for (const symbol of word) {
      const edge = state + symbol
      if (go[edge] === 0) {
        go[edge] = used * width
        depth[used] = depth[state / width] + 1
        matches[used++] = []
      }
      state = go[edge]
    }
    matches[state / width].push(index)
  })
  const fail = new Int32Array(used)
  const queue = [...new Set(go.subarray(0, width))].filter((state) => state !== 0)
  for (const state of queue) {
    matches[state / width].push(...matches[fail[state / width] / width])
    for (let k = 0; k < width; k++) {
      const otherwise = go[fail[state / width] + k]
      const next = go[state + k]
      if (next === 0) go[state + k] = otherwise
      else {
        fail[next / width] = otherwise
        queue.push(next)
      }
    }
  }
  // Shared prefixes leave rows unused: they are not kept.
  const table = go.slice(0, used * width)
  for (let i = 0; i < table.length; i++) {
    const state = table[i]
    table[i] = (state << 1) | (matches[state / width].length > 0 ? 1 : 0)
  }
  return { table, depth: depth.slice(0, used), matches, width }
}
