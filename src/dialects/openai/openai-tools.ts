/** Tools as OpenAI's responses describe them, how one is chosen, and the shape an answer is asked to have. */

import { type Json, NONE } from '../bodies/json.ts'
import { markDataUri } from '../bodies/media.ts'
import { markAll, markSchema } from '../bodies/walk.ts'
import type { Mark } from '../dialect.ts'

export function readTools(json: Json, tools: number, mark: Mark): void {
  for (let tool = json.firstItem(tools); tool !== NONE; tool = json.next(tool)) readTool(json, tool, mark)
}

/** Tools of all kinds at once: a member means the same in every kind that has it. Descriptions, addresses and headers are read as 'other'. */
function readTool(json: Json, tool: number, mark: Mark): void {
  for (let key = json.firstMember(tool); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (json.name(key)) {
      case 'name':
        mark(value, 'tool_name')
        break
      case 'tools': // of a namespace; the reader bounds the depth
        readTools(json, value, mark)
        break
      case 'parameters':
      case 'input_schema':
      case 'output_schema':
        markSchema(json, value, mark)
        break
      case 'format':
        mark(json.get(value, 'type'), 'protocol')
        mark(json.get(value, 'syntax'), 'protocol')
        break
      case 'allowed_tools':
        readToolNames(json, value, mark)
        break
      case 'require_approval':
        mark(value, 'protocol')
        readToolNames(json, json.get(value, 'always'), mark)
        readToolNames(json, json.get(value, 'never'), mark)
        break
      case 'container':
      case 'environment':
        readContainer(json, value, mark)
        break
      case 'input_image_mask':
        markDataUri(json, json.get(value, 'image_url'), mark)
        mark(json.get(value, 'file_id'), 'protocol')
        break
      case 'user_location':
        mark(json.get(value, 'type'), 'protocol')
        break
      case 'type':
      case 'server_label':
      case 'connector_id':
      case 'tunnel_id':
      case 'execution':
      case 'model':
      case 'size':
      case 'quality':
      case 'background':
      case 'output_format':
      case 'input_fidelity':
      case 'moderation':
      case 'complexity':
      case 'action':
      case 'search_context_size':
        mark(value, 'protocol')
        break
      case 'vector_store_ids':
      case 'ranking_options':
      case 'allowed_callers':
      case 'search_content_types':
      case 'svg':
        markAll(json, value, 'protocol', mark)
        break
    }
  }
}

/** A list of names, or an object that holds one. */
function readToolNames(json: Json, names: number, mark: Mark): void {
  const list = json.isArray(names) ? names : json.get(names, 'tool_names')
  for (let name = json.firstItem(list); name !== NONE; name = json.next(name)) mark(name, 'tool_name')
}

/** Where code runs: a container by its id, or a new one with files, skills and secrets. */
export function readContainer(json: Json, container: number, mark: Mark): void {
  mark(container, 'protocol')
  for (const name of ['type', 'container_id', 'memory_limit']) mark(json.get(container, name), 'protocol')
  markAll(json, json.get(container, 'file_ids'), 'protocol', mark)
  mark(json.get(json.get(container, 'network_policy'), 'type'), 'protocol')
}

/** `auto`, one tool by name, or a list of allowed ones. */
export function readToolChoice(json: Json, choice: number, mark: Mark): void {
  if (json.isString(choice)) mark(choice, 'protocol')
  for (let key = json.firstMember(choice); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    if (json.name(key) === 'name') mark(value, 'tool_name')
    else if (json.isString(value)) mark(value, 'protocol')
    else if (json.isObject(value)) readToolChoice(json, value, mark)
    else for (let tool = json.firstItem(value); tool !== NONE; tool = json.next(tool)) readToolChoice(json, tool, mark)
  }
}

/** The format of a text: plain, JSON, or JSON after a schema. */
export function readTextFormat(json: Json, format: number, mark: Mark): void {
  mark(json.get(format, 'type'), 'protocol')
  mark(json.get(format, 'name'), 'protocol')
  markSchema(json, json.get(format, 'schema'), mark)
}
