import type { Role } from '../../call.ts'
import type { Json } from '../../dialects/bodies/json.ts'

/** Members whose strings the protocol chose: ids and kinds. A finding in them would be an accident, and a cut would break the client. */
const PROTOCOL_MEMBERS = new Set([
  'id',
  'object',
  'model',
  'type',
  'role',
  'finish_reason',
  'native_finish_reason',
  'stop_reason',
  'service_tier',
  'system_fingerprint',
  'request_id',
  'tool_call_id',
  'tool_use_id',
])

/** What a string of an event is that the dialect did not name; null where it is not judged. Names that no format knows are text that somebody chose. */
export function unmarkedRole(json: Json, node: number): Role | null {
  if (json.isKey(node)) return 'protocol'
  // A member's name is the node before its value, as far from it as the root's first name is from the root.
  const before = node - json.value(0)
  const member = before > 0 && json.isKey(before) ? json.name(before) : ''
  if (PROTOCOL_MEMBERS.has(member)) return null
  return member === 'name' ? 'tool_name' : 'other'
}
