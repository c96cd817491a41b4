// The page: one photograph, the boxes that the server answers, and what is known of how fairly it looks.

import { item, showModel } from './shared/model.js'
import { fitting, open } from './shared/picture.js'
import { Failure, send } from './shared/server.js'

const LARGEST_BLANK = 2048 // side of the sheet for a photograph that the browser can't show
const $ = (id) => document.getElementById(id)
let looking // the AbortController of the photograph being looked at

$('file').addEventListener('change', () => look($('file').files[0]))
addEventListener('paste', (event) => look(event.clipboardData.files[0]))
for (const name of ['dragover', 'drop', 'dragleave']) addEventListener(name, drag)

function drag(event) {
  event.preventDefault()
  $('drop').classList.toggle('over', event.type === 'dragover')
  if (event.type === 'drop') look(event.dataTransfer.files[0])
}

async function look(file) {
  if (!file) return
  looking?.abort()
  const mine = (looking = new AbortController())
  $('problem').hidden = $('result').hidden = true
  say('Looking…')
  try {
    const photograph = await open(file)
    const body = await fitting(file, photograph, (await known)?.limits)
    const started = performance.now()
    const response = await send('detect', { method: 'POST', headers: { 'Content-Type': body.type }, body, signal: mine.signal })
    const found = await response.json()
    if (mine.signal.aborted) return
    show(photograph, found)
    say(`Answered in ${((performance.now() - started) / 1000).toFixed(2)} s. The server has forgotten the photograph.`)
  } catch (error) {
    if (!mine.signal.aborted) fail(error)
  }
}

function show(photograph, { faces, width, height }) {
  const count = faces.length
  $('found').textContent = count === 0 ? 'No face found' : count === 1 ? 'One face' : `${count} faces`
  const larger = (photograph?.width ?? width) / width // what was sent may be smaller
  const lines = faces.map(({ score, right, left }, index) =>
    item('li', `Face ${index + 1}: ${percent(score)} sure, ${Math.round((right - left) * larger)} pixels wide`)
  )
  $('blank').hidden = Boolean(photograph)
  $('faces').replaceChildren(...lines)
  $('result').hidden = false
  draw(photograph, faces, width, height)
  $('result').scrollIntoView({ behavior: calm() ? 'auto' : 'smooth', block: 'nearest' })
}

function draw(photograph, faces, width, height) {
  const canvas = $('canvas')
  const scale = Math.min(1, LARGEST_BLANK / Math.max(width, height))
  canvas.width = photograph?.image.width ?? Math.max(1, Math.round(width * scale))
  canvas.height = photograph?.image.height ?? Math.max(1, Math.round(height * scale))
  const pen = canvas.getContext('2d')
  if (photograph) pen.drawImage(photograph.image, 0, 0)
  // As thick on the screen whatever the photograph's size; light inside dark is seen on anything.
  const line = Math.max(1, canvas.width / Math.max(1, canvas.clientWidth)) * 2.5
  pen.font = `600 ${6 * line}px system-ui, sans-serif`
  for (const [index, { left, top, right, bottom }] of faces.entries()) {
    const box = [left, top, right - left, bottom - top].map((value) => (value * canvas.width) / width)
    for (const [colour, thick] of [['#10241d', 2 * line], ['#7ef0c5', line]]) {
      pen.strokeStyle = colour
      pen.lineWidth = thick
      pen.strokeRect(...box)
    }
    const name = String(index + 1)
    pen.fillStyle = '#10241d'
    pen.fillRect(box[0], box[1], pen.measureText(name).width + 4 * line, 8 * line)
    pen.fillStyle = '#7ef0c5'
    pen.fillText(name, box[0] + 2 * line, box[1] + 6 * line)
  }
}

/** The verdict, the worst group and the gate's findings, from GET /audit. */
async function showAudit({ model }) {
  if (model.audit === 'NONE') {
    judge('Not audited', false, 'Nobody has decided on an audit of this model: how fairly it finds people is not known.')
    return
  }
  const { verdict, waived_until, requirements, worst_group, recall, false_positive_rate } = await (await send('audit')).json()
  const words = {
    PASS: ['✓ Passed', 'By every measure that was asked for, on pictures it had not learned from.'],
    WAIVED: ['Waived', `It failed. Somebody answers for serving it all the same, until ${waived_until}.`],
    FAIL: ['✗ Failed', 'It is served because somebody asked for it by name.'],
    INSUFFICIENT: ['Not shown', 'There were too few pictures to tell. It is served because somebody asked for it by name.'],
  }
  judge(words[verdict][0], verdict === 'PASS', words[verdict][1])
  const rows = [
    ['Faces found', recall === null ? 'not measured' : percent(recall)],
    ['Found least', worst_group ? `faces perceived as ${worst_group.name}: ${percent(worst_group.recall)} (${percent(worst_group.low)} to ${percent(worst_group.high)})` : 'not measured'],
    ['Wrongly called faces', false_positive_rate === null ? 'not measured' : `${percent(false_positive_rate)} of cut-outs without one`],
    ...requirements.filter((asked) => asked.verdict !== 'PASS').map((asked) => [asked.verdict, asked.reason]),
  ]
  $('findings').replaceChildren(
    ...rows.map(([name, value]) => {
      const row = document.createElement('div')
      row.append(item('dt', name), item('dd', value))
      return row
    })
  )
  $('records').hidden = false
}

function judge(verdict, good, standing) {
  $('verdict').textContent = verdict
  $('verdict').className = `verdict ${good ? 'good' : 'bad'}`
  $('standing').textContent = standing
}

function warnings({ model }) {
  return model.audit === 'NONE' ? ['Nobody knows how fairly this model finds people: no audit of it was decided on.'] : []
}

function thresholds({ detection_threshold: threshold }) {
  return [['Draws a box', `when ${percent(threshold)} sure`]]
}

function percent(share) {
  return share > 0.999 && share < 1 ? 'over 99.9 %' : `${(100 * share).toFixed(1)} %`
}

function calm() {
  return matchMedia('(prefers-reduced-motion: reduce)').matches
}

function fail(error) {
  if (!(error instanceof Failure)) console.error(error)
  say('')
  $('problem').textContent = error instanceof Failure ? error.message : 'Something broke in this page. Reload it to go on.'
  $('problem').hidden = false
}

function say(text) {
  $('status').textContent = text
}

const known = showModel(thresholds, warnings)
known.then((info) => {
  if (!info) return judge('Unknown', false, 'The server did not say.')
  showAudit(info).catch((error) => judge('Unknown', false, error instanceof Failure ? error.message : 'The page broke.'))
})
