/** From where a key may be used: its addresses, and the certificate that must be shown with it. */
import type { Caller } from '../call.ts'
import { Refusal } from '../errors.ts'
import { isWithin } from './networks.ts'
import type { Peer } from './peer.ts'

/** Null where it may be used. The key itself was right, so the answer is 403, and the call is recorded. */
export function whyNotFrom({ allowedAddresses, clientCertificate }: Pick<Caller, 'allowedAddresses' | 'clientCertificate'>, peer: Peer): Refusal | null {
  if (allowedAddresses !== null && !isWithin(peer.address, allowedAddresses)) {
    return new Refusal('address_not_allowed', 'This Earthflow key may not be used from this address.')
  }
  if (clientCertificate !== null && !peer.certificate?.includes(clientCertificate)) {
    return new Refusal('certificate_required', 'This Earthflow key may be used with its client certificate only.')
  }
  return null
}
