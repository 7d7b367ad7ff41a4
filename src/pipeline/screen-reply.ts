import { screenFor } from '../rules/screen.ts'
import type { Stage } from './stage.ts'

/** Decides what must stand between the upstream and the client: nothing, unless a rule reads replies. */
export const screenReply: Stage<'verdict', 'screen'> = ({ verdict, dialect }) => ({ screen: screenFor(verdict, dialect) })
