const STRIDE = 3
/** Room for so many runs at first: as many as V8 makes within the object, which takes a hundredth of the time of a larger array. */
const RUNS_AT_FIRST = 5

/**
 * Where the characters of a view come from, as runs of characters of the same shape: so many bytes read as so many. At most one run per character.
 * A class, because functions made anew for each text would have the loops that call them compiled anew.
 */
export class SourceMap {
  /** Position in the view, position in the source and shape of each run, one after the other. */
  #runs = new Int32Array(STRIDE * RUNS_AT_FIRST)
  #used = 0

  /** From here on every character takes `bytes` bytes of the source and `length` (at most 255) of the view, until the next run. Positions never go back. */
  run(view: number, source: number, bytes: number, length: number): void {
    let runs = this.#runs
    const used = this.#used
    if (used === runs.length) {
      runs = new Int32Array(4 * used)
      runs.set(this.#runs)
      this.#runs = runs
    }
    runs[used] = view
    runs[used + 1] = source
    runs[used + 2] = (bytes << 8) | length
    this.#used = used + STRIDE
  }

  /** The bytes of the characters that stand in view[start..end), with what was dropped between them; nothing where the span is empty. Needs a run. */
  origin(start: number, end: number): { start: number; end: number } {
    const begin = this.#sourceOf(start, 0)
    return { start: begin, end: end > start ? this.#sourceOf(end - 1, 1) : begin }
  }

  /** Where the character begins that stands at a position of the view, or so many characters later. */
  #sourceOf(position: number, later: number): number {
    const runs = this.#runs
    let low = 0
    let high = this.#used / STRIDE - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (runs[middle * STRIDE] <= position) low = middle
      else high = middle - 1
    }
    const at = low * STRIDE
    const length = runs[at + 2] & 0xff
    const passed = length === 0 ? 0 : Math.floor((position - runs[at]) / length)
    return runs[at + 1] + (passed + later) * (runs[at + 2] >>> 8)
  }
}
