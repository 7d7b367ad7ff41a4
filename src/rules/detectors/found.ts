/** Told of what was found: where, and the name of the finest detector that it belongs to. Positions are those of the text that was read. */
export type Found = (start: number, end: number, kind: string) => void
