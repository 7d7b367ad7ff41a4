/** Collects what many places of one body say, within bounds: the lines of a file, the fields of a form. */
import type { Texts } from '../../call.ts'
import { MODEL_CHARACTERS_MAX } from '../call-head.ts'
import { UnreadableCall } from '../dialect.ts'
import { UnreadableJson } from './json-reader.ts'
import { joinTexts } from './texts.ts'

/** Beyond it a body is refused: each text takes some hundred bytes of memory beside its own. A batch of 50,000 short calls stays below. */
const TEXTS_MAX = 500_000
/** Each is asked for at every upstream. */
const MODELS_MAX = 64

export interface Gathering {
  /** Throws UnreadableCall beyond the bound. */
  add(texts: Texts): void
  /** A model that is named somewhere; '' is none. Throws UnreadableCall for an absurdly long name, and for more names than anybody needs. */
  addModel(model: string): void
  texts(): Texts
  models(): readonly string[]
}

export function createGathering(): Gathering {
  const parts: Texts[] = []
  const models = new Set<string>()
  let count = 0
  return {
    add(texts) {
      count += texts.slots.length
      if (count > TEXTS_MAX) throw new UnreadableCall(`The body holds more than ${TEXTS_MAX} texts; send it in parts.`, '')
      parts.push(texts)
    },
    addModel(model) {
      if (model === '') return
      if (model.length > MODEL_CHARACTERS_MAX) throw new UnreadableCall(`'model' must have at most ${MODEL_CHARACTERS_MAX} characters.`, 'model')
      models.add(model)
      if (models.size > MODELS_MAX) throw new UnreadableCall(`The body names more than ${MODELS_MAX} models; send it in parts.`, 'model')
    },
    texts: () => joinTexts(parts),
    models: () => [...models],
  }
}

/** Reads one place; what cannot be read there is refused with the place's name before it. */
export function within<T>(place: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof UnreadableJson) throw new UnreadableCall(`In ${place}: ${error.message}`, place)
    if (error instanceof UnreadableCall) throw new UnreadableCall(`In ${place}: ${error.message}`, error.param === '' ? place : `${place}: ${error.param}`)
    throw error
  }
}
