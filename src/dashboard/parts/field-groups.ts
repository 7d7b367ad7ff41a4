/** Shows a form that is told as data: its groups, what stands in them, and what the API said is wrong. */
import type { Refused } from '../api.ts'
import { type Content, type Html, html } from '../html.ts'
import { checkbox, fieldId, fieldset, form, hidden, numberField, selectField, textArea, textField } from './fields.ts'
import { type FieldGroup, type FormField, type FormRows, filledRows, type Option, SPARE_ROWS, WAS, withoutSecrets } from './form-fields.ts'

const LINES = 4

export interface GroupedForm {
  action: string
  groups: readonly FieldGroup[]
  /** What stands in the fields. */
  values: URLSearchParams
  /** Why it was not done. */
  refused?: Refused | null
  submit: string
  cancel: string
  /** Above the groups. */
  before?: Content
  /** It changes what is: only what differs from this is sent. */
  was?: URLSearchParams
}

/** The API's sentence stands above, and again at each field that it names. */
export const groupedForm = ({ action, groups, values, refused = null, submit, cancel, before = null, was }: GroupedForm): Html =>
  html`${summary(refused, groups)}${form({
    action,
    submit,
    cancel,
    content: [was === undefined ? null : hidden(WAS, was.toString()), before, fieldGroups(groups, values, refused)],
  })}`

/** Of a form that was refused: what it was sent, without what is secret. */
export const sentValues = (groups: readonly FieldGroup[], form: URLSearchParams): URLSearchParams => withoutSecrets(groups, form)

/** Why a form was refused, with a link to every field that is meant. It takes the focus: a screen reader reads it first. */
export function summary(refused: Refused | null, groups: readonly FieldGroup[] = []): Content {
  if (refused === null) return null
  const found = refused.problems.length > 0 ? refused.problems : refused.field === '' ? [] : [{ field: refused.field, message: withoutName(refused) }]
  const linked = found.flatMap(({ field, message }) => {
    const named = fieldOf(groups, field)
    return named ? [html`<li><a href="#${named.id}">${named.label}: ${message}</a></li>`] : []
  })
  return html`<div class="notice wrong" role="alert" id="refused" tabindex="-1" autofocus>
    ${linked.length > 0 ? html`<p>Nothing was done:</p><ul>${linked}</ul>` : html`<p>${refused.message}</p>`}
    ${refused.requestId === '' ? null : html`<p class="quiet">Request <code>${refused.requestId}</code></p>`}
  </div>`
}

/** The API begins its sentence with the name of the member, which the label says already. */
const withoutName = ({ field, message }: Pick<Refused, 'field' | 'message'>): string => message.replace(`${field}: `, '')

/** The field that a problem is about: its own, or the nearest around it. */
function fieldOf(groups: readonly FieldGroup[], path: string): { id: string; label: string } | null {
  const all = groups.flatMap(({ fields }) => fields)
  for (let name = path; name !== ''; name = name.slice(0, Math.max(0, name.lastIndexOf('.')))) {
    for (const field of all) {
      if (field.name === name) return { id: field.kind === 'rows' || field.kind === 'choices' ? groupId(name) : fieldId(name), label: field.label }
      const column = field.kind === 'rows' && name.startsWith(`${field.name}.`) ? field.columns.find((one) => name.endsWith(`.${one.name}`)) : undefined
      if (column) return { id: fieldId(name), label: `${field.label}, ${column.label}` }
    }
  }
  return null
}

/** What the API said of a field, or of something in it. */
function errorOf(refused: Refused | null, name: string, isWhole: boolean): string | undefined {
  if (refused === null) return undefined
  const isMeant = (field: string): boolean => field === name || (isWhole && field.startsWith(`${name}.`))
  const problem = refused.problems.find(({ field }) => isMeant(field))
  return problem?.message ?? (refused.field !== '' && isMeant(refused.field) ? withoutName(refused) : undefined)
}

export const fieldGroups = (groups: readonly FieldGroup[], values: URLSearchParams, refused: Refused | null = null): Content[] =>
  groups.map(({ legend, hint, fields, folded = false }) => {
    const content = html`${hint === undefined ? null : html`<p class="hint">${hint}</p>`}
      <div class="fields">${fields.map((field) => (field.kind === 'rows' ? rows(field, values, refused) : control(field, values, errorOf(refused, field.name, true))))}</div>`
    if (!folded) return fieldset(legend, content)
    const isFilled = fields.some(({ name }) => [...values].some(([key, value]) => value !== '' && (key === name || key.startsWith(`${name}.`))))
    const isWrong = fields.some(({ name }) => errorOf(refused, name, true) !== undefined)
    return html`<details class="fold"${isFilled || isWrong ? html` open` : null}><summary>${legend}</summary><fieldset><legend class="unseen">${legend}</legend>${content}</fieldset></details>`
  })

const groupId = (name: string): string => `${fieldId(name)}-group`

function control(field: FormField, values: URLSearchParams, error: string | undefined): Html {
  const { name, label, hint, kind, options = [], required = false, min, max, step, placeholder } = field
  const common = { name, label, isRequired: required, ...(hint !== undefined && { hint }), error }
  const value = values.get(name) ?? ''
  if (kind === 'number')
    return numberField({ ...common, value, ...(min !== undefined && { min }), ...(max !== undefined && { max }), ...(step !== undefined && { step }) })
  if (kind === 'lines') return textArea({ ...common, value, rows: LINES, isCode: true })
  if (kind === 'choice') return selectField({ ...common, isRequired: !options.some((one) => one.value === ''), value, options })
  if (kind === 'flag') return checkbox({ ...common, isChecked: values.has(name) })
  if (kind === 'choices') return choices(field, values, error)
  const type = kind === 'secret' ? 'password' : kind === 'moment' ? 'datetime-local' : kind
  return textField({ ...common, value, type, autocomplete: kind === 'secret' ? 'new-password' : 'off', ...(placeholder !== undefined && { placeholder }) })
}

function choices({ name, label, hint, options = [] }: FormField, values: URLSearchParams, error: string | undefined): Html {
  const chosen = values.getAll(name)
  const others = chosen.filter((value) => !options.some((one) => one.value === value)).map((value) => ({ value, label: value }))
  const id = groupId(name)
  const described = [hint === undefined ? '' : `${id}-hint`, error === undefined ? '' : `${id}-error`].filter((one) => one !== '').join(' ')
  return html`<fieldset class="choices" id="${id}"${described === '' ? null : html` aria-describedby="${described}"`}><legend>${label}</legend>
    ${hint === undefined ? null : html`<p class="hint" id="${id}-hint">${hint}</p>`}
    ${[...options, ...others].map((one: Option) => checkbox({ name, value: one.value, label: one.label, isChecked: chosen.includes(one.value), ...(one.hint !== undefined && { hint: one.hint }) }))}
    ${error === undefined ? null : html`<p class="error" id="${id}-error">${error}</p>`}
  </fieldset>`
}

function rows(field: FormRows, values: URLSearchParams, refused: Refused | null): Html {
  const { name, label, hint, columns } = field
  const error = refused?.field === name ? withoutName(refused) : undefined
  const count = filledRows(field, values) + SPARE_ROWS
  return html`<div class="rows" id="${groupId(name)}" role="group" aria-label="${label}">
    <p class="rows-label">${label}</p>
    ${hint === undefined ? null : html`<p class="hint">${hint}</p>`}
    ${error === undefined ? null : html`<p class="error">${error}</p>`}
    ${Array.from({ length: count }, (_, i) =>
      fieldset(
        `${label} ${i + 1}`,
        html`<div class="fields">${columns.map((column) => {
          const at = `${name}.${i}.${column.name}`
          return control({ ...column, name: at }, values, errorOf(refused, at, true))
        })}</div>`,
      ),
    )}
  </div>`
}
