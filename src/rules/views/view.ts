/** A text as its reader would take it: letters that only look like others, escapes and encodings resolved. */
export interface View {
  text: Buffer
  /** The bytes of the text beneath for which these of the view stand, whole characters and whole encoded runs. */
  origin(start: number, end: number): { start: number; end: number }
}
