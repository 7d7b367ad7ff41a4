/** Marks whole subtrees of a body, whose shape the caller chose. The reader bounds their depth. */
import type { Role } from '../../call.ts'
import type { Mark } from '../dialect.ts'
import { type Json, NONE } from './json.ts'

/** Every string value below a node. */
export function markAll(json: Json, node: number, role: Role, mark: Mark): void {
  if (json.isString(node)) mark(node, role)
  for (let key = json.firstMember(node); key !== NONE; key = json.next(key)) markAll(json, json.value(key), role, mark)
  for (let item = json.firstItem(node); item !== NONE; item = json.next(item)) markAll(json, item, role, mark)
}

/** A JSON Schema: what describes it is text, what constrains (enum, const, required, pattern, $ref ...) is protocol. */
export function markSchema(json: Json, node: number, mark: Mark): void {
  if (json.isString(node)) mark(node, 'protocol')
  for (let item = json.firstItem(node); item !== NONE; item = json.next(item)) markSchema(json, item, mark)
  for (let key = json.firstMember(node); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (json.name(key)) {
      case 'description':
      case 'title':
      case '$comment':
      case 'examples':
      case 'default':
        markAll(json, value, 'other', mark)
        break
      case 'properties':
      case 'patternProperties':
      case '$defs':
      case 'definitions':
      case 'dependentSchemas':
        // Here the members' names are the caller's own: a property called "description" is a schema.
        for (let name = json.firstMember(value); name !== NONE; name = json.next(name)) markSchema(json, json.value(name), mark)
        break
      default:
        markSchema(json, value, mark)
    }
  }
}
