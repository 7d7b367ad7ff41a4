/** What was given cannot be verified at all; the message says why, in a sentence for whoever asked. */
export class Unusable extends Error {}
