/** Everything of a Gemini request beside its conversation. What is not named here is read as 'other'. */

import { type Json, NONE } from '../bodies/json.ts'
import { markBase64 } from '../bodies/media.ts'
import { markAll, markSchema } from '../bodies/walk.ts'
import type { Mark } from '../dialect.ts'
import { camel, eachOf, member } from './gemini-spelling.ts'

/** `route` hears of a model that the settings ask for beside the one of the request. */
export function readSettings(json: Json, request: number, mark: Mark, route: (model: string) => void): void {
  for (let key = json.firstMember(request); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (camel(json.name(key))) {
      case 'tools':
        for (const tool of eachOf(json, value)) readTool(json, tool, mark)
        break
      case 'toolConfig':
        readToolConfig(json, value, mark)
        break
      case 'generationConfig':
        readGenerationConfig(json, value, mark, route)
        break
      case 'embedContentConfig':
        mark(member(json, value, 'taskType'), 'protocol')
        break
      case 'model':
      case 'safetySettings':
      case 'cachedContent':
      case 'serviceTier':
      case 'taskType':
      case 'continuationToken':
      case 'ttl':
      case 'expireTime':
        markAll(json, value, 'protocol', mark)
        break
    }
  }
}

function readTool(json: Json, tool: number, mark: Mark): void {
  for (const declaration of eachOf(json, member(json, tool, 'functionDeclarations'))) {
    mark(json.get(declaration, 'name'), 'tool_name')
    mark(json.get(declaration, 'behavior'), 'protocol')
    for (const name of ['parameters', 'parametersJsonSchema', 'response', 'responseJsonSchema']) markSchema(json, member(json, declaration, name), mark)
  }
  markAll(json, member(json, member(json, tool, 'fileSearch'), 'fileSearchStoreNames'), 'protocol', mark)
}

function readToolConfig(json: Json, config: number, mark: Mark): void {
  const calling = member(json, config, 'functionCallingConfig')
  mark(json.get(calling, 'mode'), 'protocol')
  markAll(json, member(json, calling, 'allowedFunctionNames'), 'tool_name', mark)
  mark(member(json, member(json, config, 'retrievalConfig'), 'languageCode'), 'protocol')
}

function readGenerationConfig(json: Json, config: number, mark: Mark, route: (model: string) => void): void {
  for (let key = json.firstMember(config); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (camel(json.name(key))) {
      case 'responseSchema':
      case 'responseJsonSchema':
        markSchema(json, value, mark)
        break
      case 'speechConfig':
        readSpeech(json, value, mark)
        break
      case 'routingConfig': {
        for (const mode of [json.get(value, 'manualMode'), json.get(value, 'manual_mode')])
          for (const name of ['modelName', 'model_name']) if (json.text(json.get(mode, name)) !== '') route(json.text(json.get(mode, name)))
        markAll(json, value, 'protocol', mark)
        break
      }
      case 'responseMimeType':
      case 'responseModalities':
      case 'mediaResolution':
      case 'thinkingConfig':
      case 'modelConfig':
      case 'imageConfig':
        markAll(json, value, 'protocol', mark)
        break
    }
  }
}

/** Voices by name, or as a sample of somebody's. */
function readSpeech(json: Json, config: number, mark: Mark): void {
  if (json.isString(config)) mark(config, 'protocol')
  for (const item of json.isArray(config) ? eachOf(json, config) : []) readSpeech(json, item, mark)
  for (let key = json.firstMember(config); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    if (camel(json.name(key)) === 'voiceSampleAudio') markBase64(json, value, mark)
    else if (camel(json.name(key)) === 'speaker')
      mark(value, 'other') // the name a dialogue gives it
    else readSpeech(json, value, mark)
  }
}
