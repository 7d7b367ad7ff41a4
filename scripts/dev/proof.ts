/** What a file in test/proofs is: a claim about the running system, shown by a program that may take long, kill things or measure. */

export interface ProofContext {
  /** A tenth of the length, and only invariants are asserted: no times, no rates. */
  short: boolean
  /** A PostgreSQL and, where one can be had, a Redis, shared by the proofs of a run. A proof that kills servers starts its own (test/services). */
  services: { databaseUrl: string; redisUrl: string | undefined }
  /** Prints a line of what was seen. */
  say(line: string): void
}

export interface ProofModule {
  /** One line: what is shown. */
  about: string
  /** It mostly waits, and shares no more than a server with the others: where times are not judged it runs beside them. */
  rests?: boolean
  /** Throws when the claim does not hold. */
  default(context: ProofContext): Promise<void>
}

/** Reads a proof's file. Throws a sentence when it is none. */
export async function loadProof(path: string): Promise<ProofModule> {
  const loaded = (await import(path)) as Partial<ProofModule>
  if (typeof loaded.about !== 'string' || typeof loaded.default !== 'function') throw new Error(`${path} must export \`about\` and a default function`)
  return loaded as ProofModule
}
