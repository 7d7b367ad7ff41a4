/** Paths at which providers count, moderate and list, and charge nothing. */
const FREE =
  /^(?:\/openai)?\/v1\/(?:moderations|responses\/input_tokens|messages\/count_tokens)\/?$|^\/openai\/deployments\/[^/]+\/(?:moderations|responses\/input_tokens)$|^[^:]+:(?:count|compute)Tokens$/

export const isFreePath = (path: string): boolean => FREE.test(path)

const ID = '[^/:]+'

/**
 * What is asked for by POST, below the version, and puts no model to work: things are stored, described, found, cancelled. One that takes a batch, runs
 * an agent or answers a talk is not here, nor is the part of an upload, of which nobody can tell what its calls are before it is joined to the others.
 */
const IDLE: readonly string[] = [
  // OpenAI's.
  'assistants',
  `assistants/${ID}`,
  `batches/${ID}/cancel`,
  `chat/completions/${ID}`,
  'containers(?:/.+)?',
  'conversations', // at Mistral's it names its agent, which counts as its model
  `conversations/${ID}/items`,
  `evals(?:/${ID})?`,
  `evals/${ID}/runs/${ID}(?:/cancel)?`,
  'files',
  `fine_tuning/(?:alpha/graders/validate|checkpoints/${ID}/permissions|jobs/${ID}/(?:cancel|pause))`,
  'organization/.+',
  `projects/${ID}/(?:groups|roles|users)(?:/.+)?`,
  `responses/${ID}/cancel`,
  'skills(?:/.+)?',
  `threads(?:/(?!runs\\b)${ID})?`,
  `threads/${ID}/messages(?:/${ID})?`,
  `threads/${ID}/runs/${ID}(?:/cancel)?`,
  'uploads',
  `uploads/${ID}/(?:cancel|complete)`,
  'vector_stores(?:/.+)?',
  'webhook_endpoints(?:/.+)?',
  // Anthropic's.
  'agents',
  `agents/${ID}/archive`,
  'environments(?:/.+)?',
  'memory_stores(?:/.+)?',
  `messages/batches/${ID}/cancel`,
  'organizations/.+',
  `sessions/${ID}/(?:archive|resources(?:/${ID})?)`,
  'user_profiles(?:/.+)?',
  'vaults(?:/.+)?',
  // Google's: a verb stands after the colon.
  'files:register',
  'fileSearchStores',
  '[^:]+:(?:cancel|countTokens|computeTokens|fetchPredictOperation|importFile|uploadToFileSearchStore)',
]
const IDLE_PATH = new RegExp(`^/(?:v1|v1beta1?|v1alpha|openai(?:/v1)?)/(?:${IDLE.join('|')})/?$|^/upload/`, 'i')

/**
 * Whether a model may work at this path of a provider though the call need not name one: an assistant's, an agent's, one that an earlier call named, or the
 * provider's own choice. Of a path that nobody knows it is assumed, for then the call is marked, and passes no list of models and no budget in dollars.
 */
export const isNamelessCall = (path: string): boolean => !IDLE_PATH.test(path)
