/** What is sent: nothing but these five members, made of the event's row alone, so that every attempt sends the same bytes. */

export interface TellableEvent {
  id: string
  sequence: string
  type: string
  tenantId: string | null
  requestId: string
  at: Date
  data: Record<string, unknown>
  /** Of what is told once a minute: whose events were counted together; otherwise null. */
  subject: string | null
  count: number
}

export const payloadOf = ({ type, requestId, tenantId, at, data, subject, count }: TellableEvent): string =>
  JSON.stringify({
    event: type,
    request_id: requestId,
    tenant_id: tenantId,
    timestamp: at.toISOString(),
    data: subject === null ? data : { ...data, count },
  })
