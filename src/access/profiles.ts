/** What holds for the calls of a session, by its profile. */
import type { Session } from '../call.ts'

export type Profile = Session['profile']

/** What the code asks of a session, never the name of its profile. */
type Holds = Omit<Session, 'id' | 'profile' | 'expiresAt'>

const nothing: Holds = { warnRedacts: false, irreversible: false, holdsNothing: false, impersonal: false, storedOnly: false }

export const profiles = {
  quick_lock: { about: 'an hour, and what holds for keys', seconds: 3_600, holds: nothing },
  ritual_lock: { about: 'twenty minutes; what would be warned of is cut', seconds: 1_200, holds: { ...nothing, warnRedacts: true } },
  black_vault: {
    about: 'five minutes; also nothing cut is put back, nothing waits for an approval, no row tells of the person, and only stored credentials are used',
    seconds: 300,
    holds: { warnRedacts: true, irreversible: true, holdsNothing: true, impersonal: true, storedOnly: true },
  },
} as const satisfies Record<Profile, { about: string; seconds: number; holds: Holds }>

export const profileNames = Object.keys(profiles) as [Profile, ...Profile[]]

/** No session lives longer. */
export const SESSION_SECONDS_MAX = Math.max(...Object.values(profiles).map(({ seconds }) => seconds))

/** Null for a profile that this version does not know: its session opens nothing. */
export const sessionOf = ({ id, profile, expiresAt }: { id: string; profile: string; expiresAt: Date }): Session | null =>
  Object.hasOwn(profiles, profile) ? { id, profile: profile as Profile, ...profiles[profile as Profile].holds, expiresAt: expiresAt.getTime() } : null
