import type { Exchange } from './stage.ts'

/** Whether a provider may have seen the call. An attempt of which nobody knows whom it asked may have reached one. */
export const mayHaveLeft = ({ attempts, asked }: Exchange['trace']): boolean => attempts.some((_, i) => asked[i] !== null)
