/** What Earthflow's own credentials begin with, so that none is taken for a provider's, judged as text of a call, or ever sent on. */

// Wherever one is looked for, it is found between spaces and commas.
const OURS = /(?:^|[\s,])ef_(?:live|test|session|login)_/

/** Whether a value is, or holds as one of its words, a key (`ef_live_`, `ef_test_`), a session's token or a login's. It need not be a valid one. */
export const isOurs = (value: string): boolean => OURS.test(value)
