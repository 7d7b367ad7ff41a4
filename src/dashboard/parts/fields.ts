/** Forms: each field with its label, what it is for, and what is wrong with it. */
import type { Refused } from '../api.ts'
import { type Content, type Html, html } from '../html.ts'

interface Field {
  name: string
  label: string
  /** A sentence below the label. */
  hint?: Content
  /** What is wrong with what was typed. */
  error?: string | undefined
  isRequired?: boolean
}

export interface TextField extends Field {
  value?: string | number | null
  type?: 'text' | 'email' | 'password' | 'url' | 'search' | 'date' | 'datetime-local'
  autocomplete?: string
  placeholder?: string
  charactersMax?: number
}

export interface NumberField extends Field {
  value?: string | number | null
  min?: number
  max?: number
  step?: number | 'any'
}

export interface Option {
  value: string
  label: string
}

const idOf = ({ name }: Field): string => `field-${name.replaceAll(/[^\w-]/g, '-')}`
/** The id of a field's control, for links that lead to it. */
export const fieldId = (name: string): string => idOf({ name, label: '' })

/** By which a screen reader finds the hint and the error. */
const describedBy = (field: Field): string =>
  [field.hint ? `${idOf(field)}-hint` : '', field.error ? `${idOf(field)}-error` : ''].filter((id) => id !== '').join(' ')

function framed(field: Field, control: Content): Html {
  const id = idOf(field)
  return html`<div class="field${field.error ? ' is-wrong' : ''}">
    <label for="${id}">${field.label}${field.isRequired ? '' : html` <span class="quiet">optional</span>`}</label>
    ${field.hint ? html`<p class="hint" id="${id}-hint">${field.hint}</p>` : null}
    ${control}
    ${field.error ? html`<p class="error" id="${id}-error">${field.error}</p>` : null}
  </div>`
}

/** What every control has. A `required` that the browser enforces is one the API demands too. */
const common = (field: Field): Html =>
  html`id="${idOf(field)}" name="${field.name}"${field.isRequired ? html` required` : null}${attribute('aria-describedby', describedBy(field))}${field.error ? html` aria-invalid="true"` : null}`

/** Nothing where the value is empty. */
const attribute = (name: string, value: string | number | null | undefined): Content =>
  value === undefined || value === null || value === '' ? null : html` ${name}="${value}"`

export function textField(field: TextField): Html {
  const { type = 'text', value = '', autocomplete, placeholder, charactersMax } = field
  return framed(
    field,
    html`<input type="${type}" ${common(field)} value="${value ?? ''}"${attribute('autocomplete', autocomplete)}${attribute('placeholder', placeholder)}${attribute('maxlength', charactersMax)}>`,
  )
}

export function numberField(field: NumberField): Html {
  const { value = '', min, max, step = 1 } = field
  return framed(
    field,
    html`<input type="number" inputmode="decimal" ${common(field)} value="${value ?? ''}" step="${step}"${attribute('min', min)}${attribute('max', max)}>`,
  )
}

export function textArea(field: Field & { value?: string | null; rows?: number; isCode?: boolean }): Html {
  const { value = '', rows = 6, isCode = false } = field
  // The first line break of a textarea is not part of it (HTML, section 13.1.2.5).
  return framed(
    field,
    html`<textarea ${common(field)} rows="${rows}"${isCode ? html` class="code" spellcheck="false"` : null}>
${value ?? ''}</textarea>`,
  )
}

export function selectField(field: Field & { value?: string | null; options: readonly Option[] }): Html {
  const { value = '', options } = field
  return framed(
    field,
    html`<select ${common(field)}>${options.map((one) => html`<option value="${one.value}"${one.value === (value ?? '') ? html` selected` : null}>${one.label}</option>`)}</select>`,
  )
}

/** What it sends when it is checked is `true`; else nothing. */
export function checkbox(field: Field & { isChecked: boolean; value?: string }): Html {
  const id = idOf(field)
  const { value = 'true' } = field
  const own = value === 'true' ? id : `${id}-${value.replaceAll(/[^\w-]/g, '-')}`
  return html`<div class="check">
    <input type="checkbox" id="${own}" name="${field.name}" value="${value}"${field.isChecked ? html` checked` : null}${field.hint ? html` aria-describedby="${own}-hint"` : null}>
    <label for="${own}">${field.label}</label>
    ${field.hint ? html`<p class="hint" id="${own}-hint">${field.hint}</p>` : null}
  </div>`
}

export const hidden = (name: string, value: string): Html => html`<input type="hidden" name="${name}" value="${value}">`

/** A group of fields under a name. */
export const fieldset = (legend: string, content: Content): Html => html`<fieldset><legend>${legend}</legend>${content}</fieldset>`

export interface FormOptions {
  action: string
  method?: 'post' | 'get'
  content: Content
  /** On its button. */
  submit: string
  /** Beside it, leads away. */
  cancel?: string
  /** What the button does cannot be undone. */
  isDangerous?: boolean
}

export const form = ({ action, method = 'post', content, submit, cancel, isDangerous = false }: FormOptions): Html =>
  html`<form class="form" method="${method}" action="${action}">
    ${content}
    <div class="actions"><button class="button ${isDangerous ? 'danger' : 'primary'}">${submit}</button>${cancel ? html`<a class="button" href="${cancel}">Cancel</a>` : null}</div>
  </form>`

/** What the API said is wrong with a field; undefined where it said nothing of it. */
export function errorsOf(refused: Refused | null): (name: string) => string | undefined {
  const found = new Map(refused?.problems.map(({ field, message }) => [field, message]))
  // Its sentence may begin with the name of the field, which stands above it already.
  if (refused && refused.field !== '' && !found.has(refused.field)) found.set(refused.field, refused.message.replace(`${refused.field}: `, ''))
  return (name) => found.get(name)
}
