/**
 * An Aho-Corasick automaton: all phrases are found in one pass, whose cost does not depend on how many there are. States near the root, where texts
 * mostly are, have a row of a table each; those beyond it, which large dictionaries have, find their edges in a hash table and else by their fallback.
 * So memory grows with the phrases and not with the alphabet: some 40 bytes for each of their symbols, and at most the table's own.
 */
export interface Automaton {
  /**
   * By state + class of the next symbol, for states below `tableEnd`: the next state doubled, with the lowest bit set where words end, or where that
   * state is none below `tableEnd`. So the loop over the bytes of a text asks one question about each.
   */
  table: Int32Array
  tableEnd: number
  /** The same for the other states. */
  step(state: number, symbol: number): number
  /** How many symbols of a word are open. */
  depthOf(state: number): number
  /** The words that end here, longest first. */
  wordsAt(state: number): readonly number[]
}

/** Cells of the table: 4 MiB. */
const TABLE_CELLS_MAX = 1 << 20
const NONE = -1
const NO_WORDS: readonly number[] = []

/** Words are lists of symbol classes 1..width-1; class 0 is every symbol that no word holds. The state to begin with is 0. */
export function buildAutomaton(words: readonly (readonly number[])[], width: number): Automaton {
  const { parent, symbol, depth, wordAt, nextWord, size } = buildTrie(words)
  const edges = createEdges(size)
  for (let row = 1; row < size; row++) edges.add(parent[row], symbol[row], row)

  // Rows come level by level, so that a row's fallback and parent come before it.
  const fallback = new Int32Array(size)
  const output = new Int32Array(size) // the longest shorter word that ends here as well, by its row; 0 is none
  for (let row = 1; row < size; row++) {
    let from = parent[row]
    while (from !== 0) {
      from = fallback[from]
      const found = edges.find(from, symbol[row])
      if (found === NONE) continue
      fallback[row] = found
      break
    }
    output[row] = wordAt[fallback[row]] === NONE ? output[fallback[row]] : fallback[row]
  }

  const tableRows = Math.min(size, Math.max(1, Math.floor(TABLE_CELLS_MAX / width)))
  const tableEnd = tableRows * width
  const stateOf = (row: number): number => (row < tableRows ? row * width : tableEnd + row - tableRows)
  const rowOf = (state: number): number => (state < tableEnd ? state / width : tableRows + state - tableEnd)
  const entryOf = (row: number): number => (stateOf(row) << 1) | (row < tableRows && wordAt[row] === NONE && output[row] === 0 ? 0 : 1)
  const table = new Int32Array(tableEnd)
  let child = 1 // children come in the order of their parents
  for (let row = 0; row < tableRows; row++) {
    if (row > 0) table.copyWithin(row * width, fallback[row] * width, (fallback[row] + 1) * width)
    for (; child < size && parent[child] === row; child++) table[row * width + symbol[child]] = entryOf(child)
  }

  return {
    table,
    tableEnd,
    step(state, next) {
      if (next === 0) return 0
      let row = rowOf(state)
      while (row >= tableRows) {
        const found = edges.find(row, next)
        if (found !== NONE) return entryOf(found)
        row = fallback[row]
      }
      return table[row * width + next]
    },
    depthOf: (state) => depth[rowOf(state)],
    wordsAt(state) {
      let row = rowOf(state)
      if (wordAt[row] === NONE) row = output[row]
      if (row === 0) return NO_WORDS
      const found: number[] = []
      for (; row !== 0; row = output[row]) for (let word = wordAt[row]; word !== NONE; word = nextWord[word]) found.push(word)
      return found
    },
  }
}

/** All words as one tree, its rows numbered level by level. Row 0 is the root. */
function buildTrie(words: readonly (readonly number[])[]) {
  const rowsMax = words.reduce((sum, word) => sum + word.length, 1)
  const parent = new Int32Array(rowsMax)
  const symbol = new Int32Array(rowsMax)
  const depth = new Int32Array(rowsMax)
  const wordAt = new Int32Array(rowsMax).fill(NONE)
  const nextWord = new Int32Array(words.length).fill(NONE)
  const at = new Int32Array(words.length) // how far each word is in the tree
  // In the order of a lexicon those with one beginning stand side by side: on each level a run of equal rows and symbols is a row of the next.
  let open = words.map((_, word) => word).sort((a, b) => compare(words[a], words[b]))
  let size = 1
  for (let level = 0; open.length > 0; level++) {
    const beyond: number[] = []
    let from = NONE
    let by = NONE
    for (const word of open) {
      const next = words[word][level]
      if (at[word] !== from || next !== by) {
        from = at[word]
        by = next
        parent[size] = from
        symbol[size] = next
        depth[size] = level + 1
        size++
      }
      at[word] = size - 1
      if (words[word].length > level + 1) beyond.push(word)
      else {
        nextWord[word] = wordAt[size - 1]
        wordAt[size - 1] = word
      }
    }
    open = beyond
  }
  const used = (array: Int32Array): Int32Array => array.slice(0, size)
  return { parent: used(parent), symbol: used(symbol), depth: used(depth), wordAt: used(wordAt), nextWord, size }
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i] - b[i]
  return a.length - b.length
}

/** The edges of the tree, by the row they leave and their symbol: open addressing, at most half full. */
function createEdges(size: number) {
  const capacity = 2 ** Math.ceil(Math.log2(size * 2))
  const mask = capacity - 1
  const slots = new Int32Array(capacity).fill(NONE)
  const rows = new Int32Array(size)
  const symbols = new Int32Array(size)
  const begin = (row: number, symbol: number): number => {
    const mixed = Math.imul(row, 0x9e3779b1) ^ Math.imul(symbol, 0x85ebca6b)
    return (mixed ^ (mixed >>> 15)) & mask
  }
  return {
    add(row: number, symbol: number, child: number): void {
      rows[child] = row
      symbols[child] = symbol
      let at = begin(row, symbol)
      while (slots[at] !== NONE) at = (at + 1) & mask
      slots[at] = child
    },
    find(row: number, symbol: number): number {
      for (let at = begin(row, symbol); ; at = (at + 1) & mask) {
        const child = slots[at]
        if (child === NONE || (rows[child] === row && symbols[child] === symbol)) return child
      }
    },
  }
}
