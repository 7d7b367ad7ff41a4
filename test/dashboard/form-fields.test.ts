import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changesIn, type FieldGroup, type FormRows, filledRows, readForm, shownIn, WAS, wasIn, withoutSecrets } from '../../src/dashboard/parts/form-fields.ts'

const rows: FormRows = {
  kind: 'rows',
  name: 'prices',
  label: 'Price',
  columns: [
    { name: 'model', label: 'Model', kind: 'text' },
    { name: 'input', label: 'Input', kind: 'number' },
  ],
}
const groups: readonly FieldGroup[] = [
  {
    legend: 'All kinds',
    fields: [
      { name: 'name', label: 'Name', kind: 'text', required: true },
      { name: 'contact', label: 'Contact', kind: 'email', empty: 'null' },
      { name: 'description', label: 'Description', kind: 'text', empty: 'empty' },
      { name: 'limits.a', label: 'A', kind: 'number', empty: 'null' },
      { name: 'limits.b', label: 'B', kind: 'number' },
      { name: 'models', label: 'Models', kind: 'lines', empty: 'null' },
      {
        name: 'events',
        label: 'Events',
        kind: 'choices',
        options: [
          { value: 'x', label: 'x' },
          { value: 'y', label: 'y' },
        ],
      },
      { name: 'active', label: 'Active', kind: 'flag' },
      { name: 'secret', label: 'Secret', kind: 'secret' },
      { name: 'ends', label: 'Ends', kind: 'moment', empty: 'null' },
      rows,
    ],
  },
]
const thing = {
  name: 'one',
  contact: null,
  description: '',
  limits: { a: 5, b: null },
  models: ['m-1', 'm-2'],
  events: ['y', 'later', 'x'],
  active: true,
  secret: 'never shown',
  ends: '2027-01-02T03:04:05.678Z',
  prices: [{ model: 'm-*', input: 1.5 }],
}

test('what a form says becomes the body: numbers, lists, null and what is left out, each as its field says', () => {
  const form = new URLSearchParams(
    'name=+one+&contact=&description=&limits.a=&limits.b=2.5&models=m-1%0D%0A%0D%0A+m-2+&events=x&active=true&secret=&ends=2027-01-02T03:04&prices.0.model=&prices.0.input=&prices.1.model=m&prices.1.input=0',
  )
  assert.deepEqual(readForm(groups, form), {
    name: 'one',
    contact: null,
    description: '',
    limits: { a: null, b: 2.5 },
    models: ['m-1', 'm-2'],
    events: ['x'],
    active: true,
    ends: '2027-01-02T03:04:00Z',
    prices: [{ model: 'm', input: 0 }],
  })
  const blank = readForm(groups, new URLSearchParams())
  assert.deepEqual(blank, { name: '', contact: null, description: '', limits: { a: null }, models: null, active: false, ends: null, prices: [] })
})

test('what is no number and no moment is sent as it was written, for the API to refuse', () => {
  const { limits, ends } = readForm(groups, new URLSearchParams('limits.a=many&ends=tomorrow'))
  assert.deepEqual([limits, ends], [{ a: 'many' }, 'tomorrow'])
})

test('a form shows what is, but secrets, and sent back untouched it changes nothing', () => {
  const shown = shownIn(groups, thing)
  assert.doesNotMatch(shown.toString(), /never/)
  assert.deepEqual(shown.getAll('events'), ['x', 'y', 'later'], 'in the order of the boxes, and what no box is for')
  assert.equal(shown.get('ends'), '2027-01-02T03:04')
  const sent = new URLSearchParams(shown)
  sent.set(WAS, shown.toString())
  assert.deepEqual(changesIn(groups, sent), {})
})

test('only what was changed is sent, an object as a whole, and a secret where one was written', () => {
  const shown = shownIn(groups, thing)
  const sent = new URLSearchParams(shown)
  sent.set(WAS, shown.toString())
  sent.set('limits.b', '7')
  sent.set('models', '')
  sent.delete('active')
  sent.set('secret', 'new')
  sent.set('prices.0.model', '')
  sent.set('prices.0.input', '')
  assert.deepEqual(changesIn(groups, sent), { limits: { a: 5, b: 7 }, models: null, active: false, secret: 'new', prices: [] })
})

test('what a form remembers is read only where it may be one of ours', () => {
  const sent = shownIn(groups, thing)
  sent.set(WAS, 'a&'.repeat(10_000))
  assert.equal(wasIn(sent).size, 0)
  sent.set(WAS, 'name=one')
  assert.equal(wasIn(sent).get('name'), 'one')
})

test('nothing that a form names leads outside of the body', () => {
  const sent = readForm(groups, new URLSearchParams('__proto__.x=1&constructor=1&unknown=1&prices.length=1'))
  assert.deepEqual(Object.keys(sent).sort(), ['active', 'contact', 'description', 'ends', 'limits', 'models', 'name', 'prices'])
})

test('a refused form keeps all but secrets, and as many rows as have something in them', () => {
  const form = new URLSearchParams('name=one&secret=hidden&prices.0.model=&prices.0.input=&prices.1.model=m&prices.1.input=&prices.2.model=&prices.2.input=')
  assert.equal(withoutSecrets(groups, form).has('secret'), false)
  assert.equal(withoutSecrets(groups, form).get('name'), 'one')
  assert.equal(filledRows(rows, form), 2)
  assert.equal(filledRows(rows, new URLSearchParams()), 0)
})
