/** The form of a rule: its fields, its condition as rows or as JSON, and the rule that it says. */
import { detectors } from '../../rules/detectors.ts'
import { operators } from '../../rules/operators.ts'
import { actions } from '../../rules/rule.ts'
import { targetTable } from '../../rules/targets.ts'
import type { Rule } from '../answers.ts'
import type { Refused } from '../api.ts'
import { type Content, type Html, html } from '../html.ts'
import { checkbox, errorsOf, fieldset, numberField, selectField, textArea, textField } from '../parts/fields.ts'
import { conditionFrom, QUESTIONS_MAX, type Question, questionsOf } from './rule-condition.ts'

export type Draft = Pick<Rule, 'name' | 'condition' | 'action' | 'priority' | 'mode' | 'reversible' | 'active' | 'metadata'>

export const newDraft: Draft = {
  name: '',
  condition: { operator: 'contains', value: '' },
  action: 'BLOCK',
  priority: 50,
  mode: 'enforce',
  reversible: false,
  active: true,
  metadata: {},
}

const SPARE_ROWS = 1
const VALUE_ROWS = 4
const JSON_INDENT = 2
const JSON_ROWS = 12
const PRIORITY_MAX = 100
const actionHints: Readonly<Record<string, string>> = {
  ALLOW: 'ALLOW: lets the call through, and no rule below is asked',
  WARN: 'WARN: lets it through and says so in the log',
  REDACT: 'REDACT: puts placeholders in place of what is found',
  ESCALATE: 'ESCALATE: holds the call for a person to decide',
  BLOCK: 'BLOCK: refuses the call',
}

/** What was typed, as a rule for the API; a Refused where the JSON is none, which the API never sees then. */
export function draftFrom(form: URLSearchParams): Draft | Refused {
  const read = form.get('condition_by') === 'json' ? jsonIn(form.get('condition') ?? '', 'condition') : (conditionFrom(form) as Draft['condition'])
  const metadata = jsonIn(form.get('metadata')?.trim() || '{}', 'metadata')
  if (isRefused(read)) return read
  if (isRefused(metadata)) return metadata
  const priority = form.get('priority')?.trim() ?? ''
  return {
    name: form.get('name')?.trim() ?? '',
    condition: read,
    action: form.get('action') ?? '',
    priority: priority === '' ? newDraft.priority : Number(priority),
    mode: form.get('mode') === 'shadow' ? 'shadow' : 'enforce',
    reversible: form.get('reversible') === 'true',
    active: form.get('active') === 'true',
    metadata,
  }
}

export const isRefused = (value: object): value is Refused => 'ok' in value && value.ok === false

function jsonIn(text: string, field: string): Draft['condition'] | Refused {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    return notJson(field, error instanceof Error ? error.message : 'It is no JSON.')
  }
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as Draft['condition']) : notJson(field, 'It must be a JSON object.')
}

const notJson = (field: string, why: string): Refused => ({
  ok: false,
  status: 400,
  code: 'VALIDATION_ERROR',
  message: `${field}: ${why}`,
  field,
  problems: [],
  requestId: '',
})

/** `typed` is what was sent, where the page is shown again; else the rule itself is shown. */
export function ruleFields(draft: Draft, { typed, refused }: { typed: URLSearchParams | null; refused: Refused | null }): Content {
  const error = errorsOf(refused)
  const told = refused?.field.startsWith('condition') || refused?.field.startsWith('rules.0') ? refused.message : undefined
  const of = (name: string, own: string): string => typed?.get(name) ?? own
  const isOn = (name: string, own: boolean): boolean => (typed === null ? own : typed.get(name) === 'true')
  const questions = typed === null ? questionsOf(draft.condition) : { join: typed.get('join') === 'any' ? 'any' : 'all', questions: questionsTyped(typed) }
  const by = typed?.get('condition_by') ?? (questions === null ? 'json' : 'rows')
  return [
    textField({ name: 'name', label: 'Name', value: of('name', draft.name), isRequired: true, charactersMax: 200, error: error('name') }),
    selectField({
      name: 'action',
      label: 'Action',
      value: of('action', draft.action),
      isRequired: true,
      options: actions.map((value) => ({ value, label: actionHints[value] ?? value })),
      error: error('action'),
    }),
    html`<div class="field-row">${[
      selectField({
        name: 'mode',
        label: 'Mode',
        value: of('mode', draft.mode),
        isRequired: true,
        options: [
          { value: 'enforce', label: 'enforce: it acts' },
          { value: 'shadow', label: 'shadow: it is only recorded' },
        ],
        error: error('mode'),
      }),
      numberField({
        name: 'priority',
        label: 'Priority, higher is judged first',
        value: of('priority', String(draft.priority)),
        min: 0,
        max: PRIORITY_MAX,
        isRequired: true,
        error: error('priority'),
      }),
    ]}</div>`,
    fieldset('Condition', [
      html`<div class="choice" role="radiogroup" aria-label="How the condition is written">${[radio('rows', 'As questions', by), radio('json', 'As JSON', by)]}</div>`,
      told === undefined ? null : html`<p class="error">${told}</p>`,
      html`<div data-by="rows" class="stack">${rows(questions?.questions ?? [], questions?.join ?? 'all')}</div>`,
      html`<div data-by="json">${textArea({
        name: 'condition',
        label: 'Condition as JSON',
        value: of('condition', JSON.stringify(draft.condition, null, JSON_INDENT)),
        rows: JSON_ROWS,
        isCode: true,
        hint: html`A question <code>{"operator", "value", "target"}</code>, or <code>{"all": […]}</code>, <code>{"any": […]}</code>, <code>{"not": …}</code>.`,
      })}</div>`,
    ]),
    checkbox({
      name: 'reversible',
      label: 'Reversible',
      isChecked: isOn('reversible', draft.reversible),
      hint: 'Of a REDACT rule: what it takes out of the call is put back into the reply.',
    }),
    checkbox({ name: 'active', label: 'Active', isChecked: isOn('active', draft.active), hint: 'Inactive rules are kept and not evaluated.' }),
    html`<details${Object.keys(draft.metadata).length > 0 || error('metadata') ? html` open` : null}><summary>Metadata</summary>${textArea({
      name: 'metadata',
      label: 'Metadata as JSON',
      value: of('metadata', JSON.stringify(draft.metadata, null, JSON_INDENT)),
      rows: 4,
      isCode: true,
      hint: 'For people and tools of yours; Earthflow only keeps it.',
      error: error('metadata'),
    })}</details>`,
    html`<datalist id="targets">${Object.entries(targetTable).map(([name, { about }]) => html`<option value="${name}">${about}</option>`)}</datalist>`,
  ]
}

const radio = (value: string, label: string, chosen: string): Html =>
  html`<label><input type="radio" name="condition_by" value="${value}"${value === chosen ? html` checked` : null}> ${label}</label>`

function questionsTyped(typed: URLSearchParams): Question[] {
  return Array.from({ length: QUESTIONS_MAX }, (_, at) => at)
    .filter((at) => (typed.get(`value-${at}`) ?? '') !== '')
    .map((at) => ({
      operator: typed.get(`operator-${at}`) ?? '',
      target: typed.get(`target-${at}`) ?? '',
      value: typed.get(`value-${at}`) ?? '',
      isCaseSensitive: typed.get(`case-${at}`) === 'true',
    }))
}

const blank: Question = { operator: 'contains', target: 'prompt', value: '', isCaseSensitive: false }

function rows(questions: readonly Question[], join: string): Content {
  const shown = [...questions, ...Array.from({ length: Math.min(SPARE_ROWS, QUESTIONS_MAX - questions.length) }, () => blank)]
  return [
    selectField({
      name: 'join',
      label: 'Of several questions',
      value: join,
      isRequired: true,
      options: [
        { value: 'all', label: 'all must hold' },
        { value: 'any', label: 'one must hold' },
      ],
    }),
    html`<p class="hint" id="value-hint">Of a list one value per line; of a threshold <code>gt 100</code>. A question without a value is left out.</p>`,
    shown.map(row),
    html`<div><button type="button" class="button" data-add-question hidden>Another question</button></div>`,
    html`<details><summary>What questions there are</summary><dl class="words">${Object.entries(operators).map(([name, { about }]) => html`<div><dt><code>${name}</code></dt><dd>${about}</dd></div>`)}</dl>
      <p>A detector is one of ${detectors.map(({ name, about }, at) => [at === 0 ? null : ', ', html`<abbr title="${about}">${name}</abbr>`])}, or a dictionary of the tenant.</p></details>`,
  ]
}

const row = (question: Question, at: number): Html =>
  html`<fieldset class="question"><legend>Question ${at + 1}</legend>
    <div class="field-row">
      <div class="field"><label for="target-${at}">Where</label><input id="target-${at}" name="target-${at}" value="${question.target}" list="targets" autocomplete="off" spellcheck="false"></div>
      <div class="field"><label for="operator-${at}">Question</label><select id="operator-${at}" name="operator-${at}">${Object.keys(operators).map((name) => html`<option${name === question.operator ? html` selected` : null}>${name}</option>`)}</select></div>
      <div class="field"><label for="value-${at}">Value</label><textarea id="value-${at}" name="value-${at}" rows="${question.value.includes('\n') ? VALUE_ROWS : 1}" spellcheck="false" aria-describedby="value-hint">
${question.value}</textarea></div>
    </div>
    <label class="inline-check"><input type="checkbox" name="case-${at}" value="true"${question.isCaseSensitive ? html` checked` : null}> Case matters</label>
  </fieldset>`
