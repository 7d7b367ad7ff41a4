/** How much may wait for people, and for how long. */

/** A pending call can be decided for so long; nobody's decision denies it. */
export const PENDING_SECONDS = 3_600
/** And an approval can be used for so long. */
export const APPROVED_SECONDS = 3_600
/** So long an identical call is denied as well, without anybody being asked again. */
export const DENIED_SECONDS = 3_600
/** Rows stay so long after they were made, to be read. */
export const KEPT_DAYS = 365

/** Of one call. A larger one could not be read by a person, and would keep every other call waiting while it is sealed. */
export const BODY_BYTES_MAX = 2 << 20
/** What a person is shown of it, as JSON: the body, its texts once more, and what was found in them. */
export const CONTENT_BYTES_MAX = 4 * BODY_BYTES_MAX
/** Pending ones of a caller, of a tenant, and of the installation. */
export const CALLER_PENDING_MAX = 25
export const TENANT_PENDING_MAX = 100
export const PENDING_MAX = 1_000
/** What they say, sealed, together. */
export const TENANT_BYTES_MAX = 64 << 20
export const BYTES_MAX = 512 << 20

/** Calls of one process that keep their connections open for a decision. */
export const WAITING_MAX = 500
/** Of one tenant, so that it shuts out nobody else. */
export const TENANT_WAITING_MAX = 50
/** Of identical calls: one uses the approval, the next is there should that one leave. */
export const RECORD_WAITING_MAX = 2
/** The bodies of all these calls, of which each is in memory about twice, and of one tenant's. */
export const WAITING_BYTES_MAX = 256 << 20
export const TENANT_WAITING_BYTES_MAX = 32 << 20

/** The same where all calls of a process together may take no more than `bufferedBytesMax`: half of it at most, and an eighth of that for one tenant. */
export const waitingBytes = (bufferedBytesMax: number): { bytesMax: number; tenantBytesMax: number } => ({
  bytesMax: Math.min(WAITING_BYTES_MAX, bufferedBytesMax / 2),
  tenantBytesMax: Math.min(TENANT_WAITING_BYTES_MAX, bufferedBytesMax / 16),
})
