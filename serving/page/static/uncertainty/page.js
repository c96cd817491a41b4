// The page: sliders for a row's columns, and the prediction along one of them with its bands.

import { chart } from './chart.js'
import { item, showModel } from './shared/model.js'
import { Failure, send } from './shared/server.js'

const $ = (id) => document.getElementById(id)
const FIRST = { set: 'concrete', axis: 'age' } // shown first, where the model has them
const BEYOND = 0.25 // of a column's range: how far a slider goes past it, either way
const POINTS = 61 // along the chart, where a request may have as many rows
const STEPS = 200 // of a slider
let spec, most
let asking = false // a request is on its way
let again = false // something moved meanwhile

const columns = () => spec.sets[$('set').value].features
const words = (name) => name.replaceAll('_', ' ')
const number = (value) => Number(value.toPrecision(4)).toLocaleString('en', { maximumSignificantDigits: 4 })
const withUnit = (value, unit) => `${number(value)} ${unit}`.trim()

/** Where a slider ends: past the training rows, but not below zero where none of them is. */
function ends({ min, max }) {
  const past = BEYOND * (max - min)
  return [min >= 0 ? Math.max(0, min - past) : min - past, max + past]
}

function choose() {
  const axis = columns().some(({ name }) => name === FIRST.axis) ? FIRST.axis : columns()[0].name
  $('axis').replaceChildren(...columns().map(({ name }) => option(name, name === axis)))
  $('sliders').replaceChildren(...columns().map(slider))
  ask()
}

function option(name, selected) {
  const element = item('option', words(name))
  element.value = name
  element.selected = selected
  return element
}

function slider(column) {
  const [low, high] = ends(column)
  const label = item('label', words(column.name))
  const output = document.createElement('output')
  const input = document.createElement('input')
  Object.assign(input, { type: 'range', name: column.name, min: low, max: high, step: (high - low) / STEPS })
  input.value = column.median
  label.append(output, input)
  const say = () => {
    output.textContent = withUnit(input.valueAsNumber, column.unit)
    label.classList.toggle('outside', input.valueAsNumber < column.min || input.valueAsNumber > column.max)
  }
  input.addEventListener('input', () => {
    say()
    ask()
  })
  say()
  return label
}

/** One request at a time: whatever moves meanwhile is asked for by the next. */
async function ask() {
  again = true
  if (asking) return
  asking = true
  while (again) {
    again = false
    try {
      await predict($('set').value, $('axis').value)
    } catch (error) {
      if (!(error instanceof Failure)) console.error(error)
      $('problem').textContent = error instanceof Failure ? error.message : 'Something broke in this page. Reload it to go on.'
      $('problem').hidden = false
      if (!error.retryAfter) continue
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.retryAfter))
      again = true
    }
  }
  asking = false
}

async function predict(set, axis) {
  const row = Object.fromEntries([...$('sliders').querySelectorAll('input')].map((input) => [input.name, input.valueAsNumber]))
  const column = columns().find(({ name }) => name === axis)
  const [low, high] = ends(column)
  const points = Math.min(POINTS, most - 1)
  const x = Array.from({ length: points }, (_, place) => low + ((high - low) * place) / Math.max(1, points - 1))
  const rows = [row, ...x.map((value) => ({ ...row, [axis]: value }))]
  const answer = await (await send(`predict/${set}/batch`, { json: { rows } })).json()
  if (set !== $('set').value) return
  const [now, ...along] = answer.rows
  $('problem').hidden = true
  show(now, answer.target)
  chart($('chart'), {
    x,
    along,
    now: { x: row[axis], ...now },
    edges: [column.min, column.max],
    labels: { x: `${words(axis)}${column.unit && `, ${column.unit}`}`, y: `${words(answer.target.name)}${answer.target.unit && `, ${answer.target.unit}`}` },
  })
}

function show(now, { name, unit }) {
  const ninety = now.intervals.find(({ coverage }) => coverage === 0.9) ?? now.intervals.at(-1)
  $('mean').textContent = withUnit(now.mean, unit)
  $('interval').textContent = `${words(name)}; ${100 * ninety.coverage} % between ${number(ninety.low)} and ${number(ninety.high)}`
  $('aleatoric').textContent = `± ${withUnit(now.aleatoric, unit)}`
  $('epistemic').textContent = `± ${withUnit(now.epistemic, unit)}`
  $('percentile').textContent = `${now.ood_percentile.toFixed(0)} % of known rows`
  $('refusal').hidden = !now.abstain
  $('refusal').textContent = now.abstain ? `It would rather not say: ${now.reasons.map(words).join('; ')}. The intervals are not calibrated here.` : ''
}

/** What evaluation measured. */
function measured({ metrics }) {
  const rows = []
  if ('coverage_90' in metrics) rows.push(['90 % intervals', `hold ${(100 * metrics.coverage_90).toFixed(1)} % of test rows, over all sets`])
  if ('concrete_rmse' in metrics) rows.push(['Concrete', `off by ${metrics.concrete_rmse.toFixed(2)} MPa (root mean square)`])
  return rows
}

$('ask').addEventListener('submit', (event) => event.preventDefault())
$('set').addEventListener('change', choose)
$('axis').addEventListener('change', ask)
$('middle').addEventListener('click', choose)

const known = await showModel(measured)
if (known) {
  spec = known.spec
  most = known.limits.max_rows
  const names = Object.keys(spec.sets)
  const first = names.includes(FIRST.set) ? FIRST.set : names[0]
  for (const name of names) $('set').append(titled(name, name === first))
  choose()
}

function titled(name, selected) {
  const element = option(name, selected)
  element.textContent = spec.sets[name].title
  return element
}
