/**
 * Why a rule cannot be saved, in a sentence an administrator can act on. `invalid_request` says that it is not shaped like a rule, `config` that it
 * is well-formed but asks for what Earthflow will not do. `path` is the member's place in the rule, such as `condition.all[1].value`.
 */
export class RuleError extends Error {
  readonly reason: 'invalid_request' | 'config'
  readonly path: string
  constructor(reason: 'invalid_request' | 'config', path: string, message: string) {
    super(message)
    this.reason = reason
    this.path = path
  }
}
