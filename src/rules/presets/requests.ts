/** The phrase of somebody who wants a thing done, so that talking about it, its law or its history is not taken for doing it. */
import type { Condition } from '../rule.ts'
import { pattern } from './preset-rule.ts'

/** The beginning of a sentence, or words that make what follows a request. */
const ASK =
  '(?:(?:^|[.!?:;\\n])[\\s"\'*>#-]*|\\b(?:please|(?:can|could|would)\\s+you|how\\s+(?:do|can)\\s+(?:i|we)|you\\s+(?:to|will|must|should)|help\\s+(?:me|us)|let.?s|(?:wants?|needs?|going|plan|how|task\\s+is|job\\s+is)\\s+to)\\s+)'
const MAKE = '(?:build|create|design|develop|implement|write|code|train|deploy|make|set\\s+up)'
/** Only words that describe a system: with any word here, a report about such a system would be taken for one. */
const KIND =
  '(?:(?:me|us|an?|the|our|some|new|simple|small|automatic|automated|real-?time|live|ai(?:-based|-powered)?|machine[\\s-]learning|python|web|mobile|national|internal|vision|video|risk)\\s+)*'
const SYSTEM = '(?:system|model|tool|app|algorithm|classifier|software|code|program|script|crawler|service|platform|feature|ai|agent|(?:chat)?bot)s?'
const WHICH = '(?:that|which|to)\\s+(?:(?:can|will|should|automatically|secretly)\\s+)*'

/**
 * Requests to do one of these, or to make a system that does: an activity is a verb in its plain or third-person form with what it needs. And requests
 * to make one of these things, which are nouns. Each is a pattern of its own, because one for all would be too large.
 */
export function request({ activities, things = [] }: { activities: readonly string[]; things?: readonly string[] }): Condition {
  return {
    any: [
      ...activities.map((activity) => pattern(`${ASK}(?:${MAKE}\\s+${KIND}${SYSTEM}\\s+${WHICH})?(?:${activity})`)),
      ...things.map((thing) => pattern(`${ASK}${MAKE}\\s+${KIND}(?:${thing})`)),
    ],
  }
}
