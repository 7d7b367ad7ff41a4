/** Paths at which providers count, moderate and list, and charge nothing. */
const FREE =
  /^(?:\/openai)?\/v1\/(?:moderations|responses\/input_tokens|messages\/count_tokens)\/?$|^\/openai\/deployments\/[^/]+\/(?:moderations|responses\/input_tokens)$|^[^:]+:(?:count|compute)Tokens$/

export const isFreePath = (path: string): boolean => FREE.test(path)

/** Paths at which a model works that the call need not name: an assistant's, an agent's, the one an earlier call named, or the provider's own choice. */
const NAMELESS =
  /\/(?:threads(?:\/[^/]+)?\/runs|threads\/[^/]+\/runs\/[^/]+\/submit_tool_outputs|videos(?:\/edits|\/extensions|\/[^/]+\/remix)?|evals\/[^/]+\/runs|interactions)\/?$/i

export const isNamelessCall = (path: string): boolean => NAMELESS.test(path)
