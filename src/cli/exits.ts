/**
 * With what the verbs end; scripts/README.md has the same table. 1: it was not done, or is not so. 2: it was done, and found what was asked for
 * (`apply --exit-code`, rejected lines of migrate-logs), or `audit verify` had nothing it could verify. 64 and 78 are EX_USAGE and EX_CONFIG of sysexits.h.
 */
export const EXIT = { done: 0, failed: 1, different: 2, usage: 64, settings: 78 } as const
