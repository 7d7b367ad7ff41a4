/** The items of a conversation in OpenAI's responses, in a call and in a reply alike: what was said, thought, called and answered. */
import type { Role } from '../../call.ts'
import { type Json, NONE } from '../bodies/json.ts'
import { markBase64, markDataUri, markDataUriOrBase64, markSealed } from '../bodies/media.ts'
import { markAll } from '../bodies/walk.ts'
import type { Mark } from '../dialect.ts'
import { readContainer, readTextFormat, readTools } from './openai-tools.ts'

/** The kinds of item in which a member holds ciphertext. In any other it is text that somebody chose. */
const seals: Readonly<Record<string, ReadonlySet<string>>> = {
  encrypted_content: new Set(['reasoning', 'compaction', 'compaction_summary']),
  fingerprint: new Set(['program']),
}

/**
 * Items of all kinds at once: a member means the same in every kind that has it, but for the few that ask for the kind. `speaker` is who speaks where
 * nobody says.
 */
export function readItem(json: Json, item: number, speaker: Role, mark: Mark): void {
  const type = json.text(json.get(item, 'type'))
  for (let key = json.firstMember(item); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    const name = json.name(key)
    switch (name) {
      case 'content':
        readContent(json, value, type === 'reasoning' ? 'thinking' : roleOf(json, item, speaker), mark)
        break
      case 'summary':
        readContent(json, value, 'thinking', mark)
        break
      case 'arguments':
      case 'input':
      case 'code':
      case 'queries':
      case 'operation':
      case 'action':
      case 'actions':
        if (type === 'image_generation_call') mark(value, 'protocol') // one word: generate or edit
        readCalled(json, value, mark)
        break
      case 'output':
      case 'outputs':
      case 'results':
      case 'error':
        readContent(json, value, 'tool_result', mark)
        break
      case 'result':
        if (type === 'image_generation_call') markBase64(json, value, mark, 'tool_result')
        else mark(value, 'tool_result')
        break
      case 'revised_prompt':
        mark(value, 'assistant')
        break
      case 'encrypted_content':
      case 'fingerprint':
        if (seals[name].has(type)) markSealed(json, value, mark)
        break
      case 'name':
      case 'namespace':
        mark(value, 'tool_name')
        break
      case 'tools':
        readTools(json, value, mark)
        break
      case 'text':
        readTextFormat(json, json.get(value, 'format'), mark)
        break
      case 'environment':
        readContainer(json, value, mark)
        break
      case 'pending_safety_checks':
      case 'acknowledged_safety_checks':
        for (let check = json.firstItem(value); check !== NONE; check = json.next(check)) {
          mark(json.get(check, 'id'), 'protocol')
          mark(json.get(check, 'code'), 'protocol')
        }
        break
      case 'type':
      case 'id':
      case 'role':
      case 'status':
      case 'phase':
      case 'call_id':
      case 'created_by':
      case 'server_label':
      case 'container_id':
      case 'approval_request_id':
      case 'execution':
      case 'size':
      case 'quality':
      case 'background':
      case 'output_format':
        mark(value, 'protocol')
        break
      case 'caller':
      case 'reasoning':
        markAll(json, value, 'protocol', mark)
        break
    }
  }
}

function roleOf(json: Json, item: number, speaker: Role): Role {
  const role = json.get(item, 'role')
  if (json.is(role, 'user')) return 'user'
  if (json.is(role, 'assistant')) return 'assistant'
  if (json.is(role, 'system') || json.is(role, 'developer')) return 'system'
  return json.is(role, 'tool') ? 'tool_result' : speaker
}

/** What a tool is asked to do: a text, a list of texts, or an action with its members. What a search found stands inside its action. */
function readCalled(json: Json, called: number, mark: Mark): void {
  if (json.isArray(called)) for (let one = json.firstItem(called); one !== NONE; one = json.next(one)) readCalled(json, one, mark)
  for (const name of ['type', 'button']) mark(json.get(called, name), 'protocol')
  const sources = json.get(called, 'sources')
  for (let source = json.firstItem(sources); source !== NONE; source = json.next(source)) {
    mark(json.get(source, 'type'), 'protocol')
    markAll(json, source, 'tool_result', mark)
  }
  markAll(json, called, 'tool_arguments', mark)
}

/** A string, a list of parts, or one part. */
export function readContent(json: Json, content: number, role: Role, mark: Mark): void {
  if (json.isString(content)) mark(content, role)
  if (json.isObject(content)) readPart(json, content, role, mark)
  for (let part = json.firstItem(content); part !== NONE; part = json.next(part)) {
    if (json.isString(part)) mark(part, role)
    else readPart(json, part, role, mark)
  }
}

/** Parts of a message, of a tool's answer, of reasoning, of an error. */
export function readPart(json: Json, part: number, role: Role, mark: Mark): void {
  for (let key = json.firstMember(part); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (json.name(key)) {
      case 'text':
      case 'refusal':
      case 'transcript':
      case 'stdout':
      case 'stderr':
      case 'logs':
      case 'message':
        mark(value, role)
        break
      case 'content': // of a tool's error
        markAll(json, value, role, mark)
        break
      case 'image_url':
        markDataUri(json, value, mark)
        markDataUri(json, json.get(value, 'url'), mark) // as chat completions have it
        break
      case 'url':
        markDataUri(json, value, mark)
        break
      case 'file_data':
        markDataUriOrBase64(json, value, mark)
        break
      case 'input_audio':
        markBase64(json, json.get(value, 'data'), mark)
        mark(json.get(value, 'format'), 'protocol')
        break
      case 'annotations':
        for (let annotation = json.firstItem(value); annotation !== NONE; annotation = json.next(annotation)) readAnnotation(json, annotation, mark)
        break
      case 'type':
      case 'id':
      case 'detail':
      case 'file_id':
      case 'created_by':
        mark(value, 'protocol')
        break
      case 'outcome':
      case 'prompt_cache_breakpoint':
        markAll(json, value, 'protocol', mark)
        break
    }
  }
}

/** Titles, addresses and names of files are read as 'other'. */
export function readAnnotation(json: Json, annotation: number, mark: Mark): void {
  for (const name of ['type', 'file_id', 'container_id']) mark(json.get(annotation, name), 'protocol')
}
